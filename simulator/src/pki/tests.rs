use super::*;
use std::{os::unix::fs::PermissionsExt, thread};

#[test]
fn processes_that_start_at_once_agree_on_one_root() {
    let folder = tempfile::tempdir().unwrap();
    let roots: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let pki = create_or_load(folder.path()).unwrap();
                    format!("{}{}", pki.nsm.pem(), pki.tls.pem())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(roots.iter().all(|root| *root == roots[0]));
}

#[test]
fn keys_are_readable_by_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    create_or_load(folder.path()).unwrap();
    for name in [NSM_FILES.key, TLS_FILES.key] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_damaged_file_is_an_error_and_never_a_new_root() {
    let folder = tempfile::tempdir().unwrap();
    let before = create_or_load(folder.path()).unwrap();
    std::fs::write(folder.path().join(NSM_FILES.key), "").unwrap();
    let error = create_or_load(folder.path()).unwrap_err();
    assert!(matches!(error, PkiError::Malformed { name: "nsm-root.key.pem" }), "{error}");
    let after = std::fs::read_to_string(folder.path().join(NSM_FILES.certificate)).unwrap();
    assert_eq!(after, before.nsm.pem());
}

#[test]
fn a_path_is_reissued_before_it_expires_and_only_as_far_as_needed() {
    let clock = system_clock();
    let root = NsmRoot::ephemeral(&clock).unwrap();
    let start = clock() / 1000;
    let mut path = SigningPath::new(root, "eu-central-1").unwrap();
    path.refresh(start).unwrap();
    let all = |path: &SigningPath| {
        let mut all: Vec<Vec<u8>> = path.bundle().into_iter().map(<[u8]>::to_vec).collect();
        all.push(path.leaf().to_vec());
        all
    };
    let kept = |a: &[Vec<u8>], b: &[Vec<u8>]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let first = all(&path);
    assert_eq!(first.len(), 5);
    let hour = 3600;
    for (after, expected) in
        [(hour, 5), (3 * hour, 4), (24 * hour, 3), (6 * 24 * hour, 2), (21 * 24 * hour, 1)]
    {
        path.refresh(start).unwrap();
        let before = all(&path);
        path.refresh(start + after).unwrap();
        assert_eq!(kept(&before, &all(&path)), expected, "after {after} s");
    }
}
