//! The key of a cluster, and the identities that it signs.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use time::{Duration, OffsetDateTime};

use crate::Error;

/// For how long a node's certificate is valid. It is made anew at each start of a node.
const VALID: Duration = Duration::days(400);
/// How far the clock of another node may be behind.
const BEHIND: Duration = Duration::hours(1);
/// The longest file that is read as a key.
const LONGEST: u64 = 16 << 10;

/// What makes nodes members of one cluster: whoever has it can sign identities.
///
/// It is one file, which only its owner can read. Copy it to the machines of the cluster by a way
/// that you trust.
pub struct ClusterKey {
    signer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl std::fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterKey")
    }
}

impl ClusterKey {
    /// Makes a key and writes it to a new file of mode 0600. An existing file is left as it is, and
    /// an error.
    pub fn create(path: &Path) -> Result<ClusterKey, Error> {
        let wrong = |e: &dyn ToString| Error::Key(path.to_owned(), e.to_string());
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|e| wrong(&e))?;
        let text = pair.serialize_pem();
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(
                |e| match e.kind() {
                    std::io::ErrorKind::AlreadyExists => {
                        wrong(&"it exists already, and is not overwritten")
                    }
                    _ => wrong(&e),
                },
            )?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if let Err(e) = written {
            // Half a key is no key; if it cannot be removed either, the first error says enough.
            let _ = std::fs::remove_file(path);
            return Err(wrong(&e));
        }
        ClusterKey::of(pair).map_err(|e| wrong(&e))
    }

    /// Reads a key. One that others can read is refused.
    pub fn load(path: &Path) -> Result<ClusterKey, Error> {
        let wrong = |e: &dyn ToString| Error::Key(path.to_owned(), e.to_string());
        let file = File::open(path).map_err(|e| wrong(&e))?;
        let meta = file.metadata().map_err(|e| wrong(&e))?;
        if !meta.is_file() {
            return Err(wrong(&"it is not a file"));
        }
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(wrong(&format!(
                "others can read or write it (mode {mode:03o}): run chmod 600 on it, and make a new one if it may have been seen"
            )));
        }
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).map_err(|e| wrong(&e))?;
        let pair = KeyPair::from_pem(&text)
            .map_err(|e| wrong(&format!("it does not hold a cluster key: {e}")))?;
        ClusterKey::of(pair).map_err(|e| wrong(&e))
    }

    fn of(pair: KeyPair) -> Result<ClusterKey, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("chimaera cluster key");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Made anew each time: what others check is its name and its key, which are always the same.
        let root = params.self_signed(&pair)?.der().clone();
        Ok(ClusterKey { signer: Issuer::new(params, pair), root })
    }

    /// Signs a certificate for a node, valid for 400 days: for one run of a daemon.
    pub fn identity(&self, node: u64, name: &str) -> Result<Identity, Error> {
        let wrong = |e: rcgen::Error| Error::Tls(e.to_string());
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(wrong)?;
        let mut params =
            CertificateParams::new(vec![ANY.to_owned(), name_of(node)]).map_err(wrong)?;
        params.distinguished_name = named(name);
        let now = OffsetDateTime::now_utc();
        params.not_before = now - BEHIND;
        params.not_after = now + VALID;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let cert = params.signed_by(&pair, &self.signer).map_err(wrong)?;
        let key = PrivatePkcs8KeyDer::from(pair.serialize_der());
        Identity::new(node, cert.der().clone(), key.into(), self.root.clone())
            .map_err(|e| Error::Tls(e.to_string()))
    }
}

/// The name that all certificates have: who connects may not know yet whom it will meet.
const ANY: &str = "node.chimaera";

fn name_of(node: u64) -> String {
    format!("n{node}.chimaera")
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Proves that a node belongs to a cluster. In memory only.
#[derive(Clone)]
pub struct Identity {
    node: u64,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity of node {}", self.node)
    }
}

impl Identity {
    fn new(
        node: u64,
        cert: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
        root: CertificateDer<'static>,
    ) -> Result<Identity, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|e| rustls::Error::General(e.to_string()))?;
        let versions = [&rustls::version::TLS13];
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![cert.clone()], key.clone_key())?;
        // Connections live long: nothing is gained by resuming one.
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![cert], key)?;
        client.resumption = rustls::client::Resumption::disabled();
        Ok(Identity { node, client: Arc::new(client), server: Arc::new(server) })
    }

    /// The node that this is for.
    pub fn node(&self) -> u64 {
        self.node
    }

    pub(crate) fn connecting(&self) -> Result<rustls::Connection, rustls::Error> {
        let name = ServerName::try_from(ANY)
            .map_err(|_| rustls::Error::General("the common name is no name".to_owned()))?;
        Ok(rustls::ClientConnection::new(self.client.clone(), name)?.into())
    }

    pub(crate) fn accepting(&self) -> Result<rustls::Connection, rustls::Error> {
        Ok(rustls::ServerConnection::new(self.server.clone())?.into())
    }
}

/// Whether the certificate that the other side has proved to own is that of `node`.
pub(crate) fn is_of(connection: &rustls::Connection, node: u64) -> bool {
    let Some(cert) = connection.peer_certificates().and_then(|chain| chain.first()) else {
        return false;
    };
    let (Ok(parsed), Ok(name)) =
        (ParsedCertificate::try_from(cert), ServerName::try_from(name_of(node)))
    else {
        return false;
    };
    rustls::client::verify_server_name(&parsed, &name).is_ok()
}

/// What a failure of TLS means for a person.
pub(crate) fn meaning(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, Error as E};
    match error {
        E::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature,
        ) => "its certificate is not of this cluster's key".to_owned(),
        E::AlertReceived(Alert::UnknownCA | Alert::DecryptError | Alert::BadCertificate) => {
            "it refused this node's certificate, which is not of its cluster's key".to_owned()
        }
        E::NoCertificatesPresented => "it has no certificate of this cluster's key".to_owned(),
        E::InvalidMessage(_) => format!("it does not speak TLS ({error})"),
        other => format!("TLS failed: {other}"),
    }
}
