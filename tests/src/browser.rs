//! Pages in a browser that nobody here wrote: Chromium without a window.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use data_encoding::BASE64;
use serde_json::Value;
use tempfile::TempDir;

/// How a page is looked at: the size of the window in CSS pixels, and by night.
#[derive(Debug, Clone, Copy)]
pub struct View {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
}

/// A browser with a profile of its own.
pub struct Browser {
    folder: TempDir,
}

impl Default for Browser {
    fn default() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
}

impl Browser {
    fn run(&self, dark: bool, arguments: &[String]) -> String {
        let profile = tempfile::tempdir_in(self.folder.path()).unwrap();
        let mut command = Command::new("chromium");
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--disable-dev-shm-usage", "--hide-scrollbars", "--virtual-time-budget=10000"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }));
        let output = command.args(arguments).stderr(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "chromium was expected to work: {arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A page in a frame of this width, whatever width windows have.
    fn framed(&self, page: &str, view: View, script: &str) -> PathBuf {
        let page = page.replace('&', "&amp;").replace('"', "&quot;");
        let View { width, height, .. } = view;
        let wrapper = format!(
            "<!DOCTYPE html><meta charset=\"utf-8\"><title>wrapper</title>\
             <style>html,body{{margin:0}}iframe{{border:0;display:block}}</style>\
             <iframe width=\"{width}\" height=\"{height}\" srcdoc=\"{page}\"></iframe><pre></pre>{script}"
        );
        self.file("wrapper.html", &wrapper)
    }

    /// What a script of the test's own, which answers an object, finds in the page: the page's
    /// document is `doc`, its window is `win`. The page's own scripts would run as well.
    pub fn ask(&self, page: &str, view: View, script: &str) -> Value {
        let script = format!(
            "<script>onload = () => {{ const win = document.querySelector('iframe').contentWindow; \
             const doc = win.document; const found = (() => {{ {script} }})(); \
             document.querySelector('pre').textContent = btoa(unescape(encodeURIComponent(JSON.stringify(found)))); }}\
             </script>"
        );
        let file = self.framed(page, view, &script);
        let dom = self.run(view.dark, &["--dump-dom".into(), url(&file)]);
        let found = dom.rsplit_once("<pre>").unwrap().1.split_once("</pre>").unwrap().0;
        serde_json::from_slice(&BASE64.decode(found.as_bytes()).unwrap()).unwrap()
    }

    /// The page as a picture (PNG).
    pub fn picture(&self, page: &str, view: View) -> Vec<u8> {
        let file = self.framed(page, view, "");
        let png = self.folder.path().join("page.png");
        // Windows have a least width.
        let (width, height) = (view.width.max(500), view.height);
        self.run(
            view.dark,
            &[
                format!("--screenshot={}", png.display()),
                format!("--window-size={width},{height}"),
                url(&file),
            ],
        );
        std::fs::read(png).unwrap()
    }

    /// Width, height and number of different colours of a picture, as the browser reads it.
    pub fn colours(&self, png: &[u8]) -> (u64, u64, usize) {
        let script = "const image = doc.querySelector('img'), canvas = document.createElement('canvas'); \
             canvas.width = image.naturalWidth; canvas.height = image.naturalHeight; \
             const context = canvas.getContext('2d'); context.drawImage(image, 0, 0); \
             const data = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer); \
             return {width: canvas.width, height: canvas.height, colours: new Set(data).size};";
        let page = format!("<img src=\"data:image/png;base64,{}\">", BASE64.encode(png));
        let found = self.ask(&page, View { width: 500, height: 500, dark: false }, script);
        let number = |name: &str| found[name].as_u64().unwrap();
        (number("width"), number("height"), usize::try_from(number("colours")).unwrap())
    }

    /// The page on paper, as a PDF.
    pub fn paper(&self, page: &str) -> PathBuf {
        let (file, pdf) = (self.file("page.html", page), self.folder.path().join("page.pdf"));
        self.run(
            false,
            &["--no-pdf-header-footer".into(), format!("--print-to-pdf={}", pdf.display()), url(&file)],
        );
        pdf
    }

    /// The whole document after it was loaded by itself, as it stands in its file.
    pub fn loaded(&self, page: &str) -> String {
        let file = self.file("page.html", page);
        self.run(false, &["--dump-dom".into(), url(&file)])
    }
}

fn url(file: &Path) -> String {
    format!("file://{}", file.display())
}
