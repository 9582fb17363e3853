//! Segments, checkpoints and boots, and what is read of them.

use std::{fs, sync::Arc, time::Duration};

use attestation::DocumentHash;
use wire::LogLine;

use super::{Running, limits, nobody, on_disk, text};
use crate::log::{Book, LogError, double, line, writer::SEGMENT_BYTES};

#[tokio::test(flavor = "multi_thread")]
async fn segments_follow_each_other_and_every_place_is_found_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::begun(folder.path(), nobody()).await;
    let lines = double::lines_of(&double::boot(), 3000, 3000);
    let mut expected = String::new();
    for chunk in lines.chunks(50) {
        running.book.store(chunk.to_vec()).await.unwrap();
        let last = chunk.last().unwrap().seq;
        running.book.checkpoint(double::checkpoint(last)).unwrap();
        // The same once more, an older one, and one of another boot.
        running.book.checkpoint(double::checkpoint(last)).unwrap();
        if last > 50 {
            running.book.checkpoint(double::checkpoint(last - 50)).unwrap();
        }
        let other = double::checkpoint(1).replace(&double::boot().to_string(), &"0".repeat(64));
        assert!(matches!(running.book.checkpoint(other), Err(LogError::OtherBoot)));
        expected += &text(chunk);
        expected += &format!("{{\"checkpoint\":{}}}\n", double::checkpoint(last));
    }
    while running.book.last_checkpoint() != Some(double::checkpoint(3000)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(on_disk(folder.path(), &double::boot()) == expected);
    let boot = folder.path().join(double::boot().to_string());
    let segments = fs::read_dir(&boot).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    let segments: Vec<u64> = segments.collect();
    assert!(segments.len() >= 4, "with the document: {segments:?}");
    assert!(segments.iter().all(|length| *length < SEGMENT_BYTES + 70_000), "{segments:?}");
    // Before and after a restart, which forgets the indexes.
    running.stop().await;
    let running = Running::begun(folder.path(), nobody()).await;
    assert_eq!(running.book.last_checkpoint(), Some(double::checkpoint(3000)));
    for from in [0, 1, 2, 49, 50, 51, 52, 1234, 1350, 2001, 2999, 3000] {
        for _ in 0..2 {
            let read = running.book.read(Some(double::boot()), from, 70_000).await.unwrap();
            let read = std::str::from_utf8(&read).unwrap();
            assert!(read.len() <= 70_000 && read.ends_with('\n'));
            let line = &lines[usize::try_from(from.max(1) - 1).unwrap()].line;
            let at = expected.find(line.as_str()).unwrap();
            assert!(expected[at..].starts_with(read), "{from}: {read:.200}");
        }
    }
    // Page by page nothing is missed.
    let (mut all, mut from) = (String::new(), 1);
    loop {
        let page = running.book.read(None, from, 100_000).await.unwrap();
        let page = std::str::from_utf8(&page).unwrap();
        let last = page.lines().rev().find_map(|line| line::seq_of(line.as_bytes()));
        all += page;
        match last {
            Some(last) => from = last + 1,
            None => break,
        }
    }
    assert!(all == expected);
    assert_eq!(running.book.read(None, 5000, 1000).await.unwrap(), "");
    let unknown = running.book.read(Some(DocumentHash::of(b"other")), 1, 1000).await;
    assert!(matches!(unknown, Err(LogError::UnknownBoot)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_waits_for_its_entry_and_comes_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::begun(folder.path(), nobody()).await;
    let lines = double::lines(5);
    running.book.store(lines[..1].to_vec()).await.unwrap();
    running.book.checkpoint(double::checkpoint(3)).unwrap();
    running.book.store(lines[1..].to_vec()).await.unwrap();
    let checkpoint = format!("{{\"checkpoint\":{}}}\n", double::checkpoint(3));
    assert_eq!(on_disk(folder.path(), &double::boot()), text(&lines[..3]) + &checkpoint + &text(&lines[3..]));
    for bad in ["", "{}", "x\ny"] {
        assert!(matches!(running.book.checkpoint(bad.into()), Err(LogError::Line(_))), "{bad}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_boot_ends_the_one_before_and_the_newest_with_an_entry_is_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::begun(folder.path(), nobody()).await;
    let (first, second) = (double::lines(3), DocumentHash::of(b"second"));
    running.book.store(first[..2].to_vec()).await.unwrap();
    let waiting = tokio::spawn({
        let (book, line) = (running.book.clone(), first[2].clone());
        // Entry 4 does not come any more.
        async move { book.store(vec![line.clone(), LogLine { seq: 9, ..line }]).await }
    });
    assert!(waiting.await.unwrap().is_err());
    let waiting = tokio::spawn({
        let book = running.book.clone();
        async move { book.durable(4).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(running.book.begin(second, b"third").await.is_err());
    running.book.begin(second, b"second").await.unwrap();
    running.book.begin(second, b"second").await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(LogError::OtherBoot)));
    assert_eq!(running.book.last().map(|head| (head.boot, head.seq)), Some((double::boot(), 3)));
    assert!(matches!(running.book.store(first.clone()).await, Err(LogError::OtherBoot)));
    running.stop().await;
    // A parent that starts anew beside the enclave that is there.
    let book = Book::open(folder.path(), limits(), Arc::default()).unwrap();
    assert_eq!(book.boots(), [double::boot(), second]);
    assert_eq!(book.last().unwrap().boot, double::boot());
    assert!(matches!(Book::open(folder.path(), limits(), Arc::default()), Err(LogError::Locked(_))));
    let running = Running::of(book, nobody());
    running.book.begin(second, b"second").await.unwrap();
    running.book.store(double::lines_of(&second, 2, 0)).await.unwrap();
    assert_eq!(running.book.last().map(|head| (head.boot, head.seq)), Some((second, 2)));
    assert_eq!(running.book.document(second).await.unwrap(), "second");
    running.stop().await;
    // A copy without the order of the boots: by the times of their first entries.
    fs::remove_file(folder.path().join(".boots")).unwrap();
    let book = Book::open(folder.path(), limits(), Arc::default()).unwrap();
    assert_eq!(book.boots().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_on_after_a_checkpoint_meets_no_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::begun(folder.path(), nobody()).await;
    let lines = double::lines(1100);
    running.book.store(lines[..20].to_vec()).await.unwrap();
    // Late, but in order; the same one again, also by another time.
    running.book.store_checkpoint(double::checkpoint(10)).await.unwrap();
    running.book.store_checkpoint(double::checkpoint(10)).await.unwrap();
    let again = double::checkpoint(20).replace("\"time\":1", "\"time\":2");
    running.book.store_checkpoint(double::checkpoint(20)).await.unwrap();
    running.book.store_checkpoint(again.clone()).await.unwrap();
    // Earlier than one that is there: that one will do.
    running.book.store_checkpoint(double::checkpoint(15)).await.unwrap();
    assert_eq!(running.book.last_checkpoint(), Some(again.clone()));
    running.book.store(lines[20..30].to_vec()).await.unwrap();
    running.book.store_checkpoint(double::checkpoint(21)).await.unwrap();
    // The one over 21 comes after entry 30: who knows 25 would meet it.
    let late = running.book.store_checkpoint(double::checkpoint(25)).await;
    assert!(matches!(late, Err(LogError::Line(_))), "{late:?}");
    running.book.store(lines[30..].to_vec()).await.unwrap();
    let late = running.book.store_checkpoint(double::checkpoint(31)).await;
    assert!(matches!(late, Err(LogError::Line(_))), "{late:?}");
    let expected = [
        text(&lines[..20]),
        format!("{{\"checkpoint\":{}}}\n", double::checkpoint(10)),
        format!("{{\"checkpoint\":{}}}\n", double::checkpoint(20)),
        format!("{{\"checkpoint\":{again}}}\n"),
        text(&lines[20..30]),
        format!("{{\"checkpoint\":{}}}\n", double::checkpoint(21)),
        text(&lines[30..]),
    ];
    assert_eq!(on_disk(folder.path(), &double::boot()), expected.concat());
    // After a restart as well.
    running.stop().await;
    let running = Running::begun(folder.path(), nobody()).await;
    assert_eq!(running.book.last_checkpoint(), Some(double::checkpoint(21)));
    let waits = tokio::spawn({
        let book = running.book.clone();
        async move { book.store_checkpoint(double::checkpoint(1100)).await }
    });
    let lines = double::lines(1101);
    running.book.store(lines[1100..].to_vec()).await.unwrap();
    waits.await.unwrap().unwrap();
    running.stop().await;
}
