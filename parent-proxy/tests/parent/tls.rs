//! HTTPS, with and without client certificates, for clients that nobody here wrote.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use reqwest::{Certificate, Identity};

use crate::support::process::Site;

/// An authority that issues one server and one client certificate.
pub struct Pki {
    pub root: String,
    pub server: (String, String),
    client: (String, String),
}

impl Pki {
    pub fn new() -> Self {
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.distinguished_name.push(DnType::CommonName, "the test's authority");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let issuer = Issuer::new(root, root_key);
        let issue = |usage| {
            let key = KeyPair::generate().unwrap();
            let mut leaf = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
            leaf.distinguished_name.push(DnType::CommonName, "the test's leaf");
            leaf.extended_key_usages = vec![usage];
            (leaf.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        Self {
            root: root_pem,
            server: issue(ExtendedKeyUsagePurpose::ServerAuth),
            client: issue(ExtendedKeyUsagePurpose::ClientAuth),
        }
    }

    fn write(&self, site: &Site) {
        for (name, content) in [
            ("server.pem", &self.server.0),
            ("server.key", &self.server.1),
            ("client.pem", &self.client.0),
            ("client.key", &self.client.1),
            ("root.pem", &self.root),
        ] {
            std::fs::write(site.path(name), content).unwrap();
        }
    }

    fn client(&self, identity: Option<&(String, String)>) -> reqwest::Client {
        let root = Certificate::from_pem(self.root.as_bytes()).unwrap();
        let mut builder = reqwest::Client::builder().tls_certs_only([root]);
        if let Some((certificate, key)) = identity {
            let pem = format!("{certificate}{key}");
            builder = builder.identity(Identity::from_pem(pem.as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }
}

#[tokio::test]
async fn with_a_certificate_only_https_is_spoken() {
    let site = Site::new();
    let pki = Pki::new();
    pki.write(&site);
    let (certificate, key) = (site.path("server.pem"), site.path("server.key"));
    let arguments = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let mut parent = site.parent(&arguments).await;
    assert!(parent.client.get(format!("http://{}/healthz", parent.address)).send().await.is_err());
    parent.https = true;
    parent.client = pki.client(None);
    let answered = parent.get("/healthz").await;
    assert_eq!(answered.status, 200);
    assert!(answered.header("strict-transport-security").starts_with("max-age="));
    // A client that trusts another authority does not speak.
    parent.client = Pki::new().client(None);
    let url = format!("https://{}/healthz", parent.address);
    assert!(parent.client.get(&url).send().await.is_err());
    let curl = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--tlsv1.3", "--cacert"])
        .arg(site.path("root.pem"))
        .arg(url)
        .output()
        .unwrap();
    assert_eq!(curl.stdout, br#"{"status":"alive"}"#, "{curl:?}");
}

#[tokio::test]
async fn with_client_issuers_nobody_else_is_heard() {
    let site = Site::new();
    let pki = Pki::new();
    pki.write(&site);
    let files = ["server.pem", "server.key", "root.pem"].map(|name| site.path(name).display().to_string());
    let arguments = ["--tls-cert", &files[0], "--tls-key", &files[1], "--tls-client-ca", &files[2]];
    let mut parent = site.parent(&arguments).await;
    parent.https = true;
    let url = format!("https://{}/healthz", parent.address);
    assert!(pki.client(None).get(&url).send().await.is_err());
    let stranger = Pki::new().client;
    assert!(pki.client(Some(&stranger)).get(&url).send().await.is_err());
    // A server's certificate is no client's.
    assert!(pki.client(Some(&pki.server)).get(&url).send().await.is_err());
    parent.client = pki.client(Some(&pki.client));
    assert_eq!(parent.get("/healthz").await.status, 200);
}
