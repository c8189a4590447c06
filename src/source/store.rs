//! Where a store is and how it is reached, as a URL says it: `redis://HOST:PORT/DATABASE?OPTIONS#PREFIX`. It knows no
//! store's protocol.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use url::{Host, Url};

use crate::{
    model::words::quoted,
    private_file::{self, Unread},
};

/// The longest password, in bytes.
const PASSWORD_MAX: u64 = 4096;

/// Where a store is.
#[derive(Clone, PartialEq, Eq)]
pub struct Store {
    scheme: String,
    /// Where it is read.
    pub(super) server: Server,
    /// Where else: further members of a cluster.
    pub(super) others: Vec<Server>,
    /// Where it is written, where that is another.
    pub(super) primary: Option<Server>,
    /// Whether TLS is spoken.
    pub(super) tls: bool,
    /// Who asks.
    pub(super) user: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    /// Whose certificates are trusted in place of the system's.
    pub(super) ca: Option<PathBuf>,
    /// The certificate to be shown, and its key.
    pub(super) cert: Option<(PathBuf, PathBuf)>,
    /// The number of the database, from 0.
    pub(super) database: u32,
    /// What each key begins with.
    pub(super) prefix: String,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// A name or an address; one of IPv6 without brackets.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
}

/// What may stand in the URL of a kind of store.
#[derive(Debug)]
pub(super) struct Shape {
    /// The schemes, without TLS and with it.
    pub(super) schemes: [&'static str; 2],
    /// The port where none is given.
    pub(super) port: u16,
    /// Whether it has databases.
    pub(super) databases: bool,
    /// The options that it has.
    pub(super) options: &'static [&'static str],
    /// How one is written, for who wrote another.
    pub(super) usage: &'static str,
}

impl Store {
    /// The store that a URL of this shape names.
    ///
    /// # Errors
    /// Says what to write instead; never the password.
    pub(super) fn parse(text: &str, shape: &Shape) -> Result<Self, String> {
        let [plain, secure] = shape.schemes;
        let usage = |why: &str| format!("{why}: use {}", shape.usage);
        // Hipache's own spelling for the one on this host.
        let text = if text == format!("{plain}:") { format!("{plain}://127.0.0.1") } else { text.to_owned() };
        if is_cut(&text) {
            return Err("in a password, write / as %2F, ? as %3F, # as %23; elsewhere, @ as %40".into());
        }
        let url = Url::parse(&text).map_err(|e| usage(&e.to_string()))?;
        if url.scheme() != plain && url.scheme() != secure {
            return Err(usage("another kind of store"));
        }
        let (tls, port) = (url.scheme() == secure, url.port().unwrap_or(shape.port));
        let server = Server { host: host(&url).unwrap_or_else(|| "127.0.0.1".into()), port };
        let user = decoded(url.username()).map_err(|why| usage(&why))?;
        let password = url.password().map(decoded).transpose().map_err(|why| usage(&why))?;
        let prefix = decoded(url.fragment().unwrap_or_default()).map_err(|why| usage(&why))?;
        let mut store = Self {
            scheme: url.scheme().to_owned(),
            server,
            others: Vec::new(),
            primary: None,
            tls,
            user: Some(user).filter(|user| !user.is_empty()),
            password: password.filter(|password| !password.is_empty()),
            password_file: None,
            ca: None,
            cert: None,
            database: database(url.path(), shape).map_err(|why| usage(&why))?,
            prefix,
        };
        let mut key = None;
        for (name, value) in url.query_pairs() {
            store.option((&name, &value), &mut key, shape)?;
        }
        store.checked(key)
    }

    fn option(&mut self, (name, value): (&str, &str), key: &mut Option<PathBuf>, shape: &Shape) -> Result<(), String> {
        if !shape.options.contains(&name) {
            let known = shape.options.join(", ");
            // Behind a name may stand the rest of a password, and the name be its beginning.
            let name = if value.contains('@') { String::new() } else { format!(" {}", quoted(name, 40)) };
            return Err(format!("unknown option{name}: the options are {known}"));
        }
        match name {
            "password-file" => self.password_file = Some(value.into()),
            "ca" => self.ca = Some(value.into()),
            "cert" => self.cert = Some((value.into(), PathBuf::new())),
            "key" => *key = Some(value.into()),
            "primary" => self.primary = Some(Server::parse(name, value, shape.port)?),
            "also" => self.others.push(Server::parse(name, value, shape.port)?),
            _ => {}
        }
        Ok(())
    }

    /// The store, where its options go together.
    fn checked(mut self, key: Option<PathBuf>) -> Result<Self, String> {
        if self.password.is_some() && self.password_file.is_some() {
            return Err("two passwords: in the URL, and password-file".into());
        }
        if !self.tls && (self.ca.is_some() || self.cert.is_some() || key.is_some()) {
            return Err(format!("ca, cert and key go with TLS: {}s://", self.scheme));
        }
        match (&mut self.cert, key) {
            (None, None) => {}
            (Some((_, path)), Some(key)) => *path = key,
            _ => return Err("cert and key go together".into()),
        }
        Ok(self)
    }

    /// The password, if there is one: read anew each time, for it may have been changed.
    ///
    /// # Errors
    /// A file that cannot be read, or that others can read.
    pub(super) fn password(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.password_file else { return Ok(self.password.clone()) };
        let text = private_file::read(path, PASSWORD_MAX).map_err(|why| unread(path, why))?;
        Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()).filter(|text| !text.is_empty()))
    }

    /// All the servers that it may be read from.
    pub(super) fn servers(&self) -> impl Iterator<Item = &Server> {
        std::iter::once(&self.server).chain(&self.others)
    }
}

impl Server {
    /// What an option says, which is not shown: it may have a password in it.
    fn parse(option: &str, text: &str, port: u16) -> Result<Self, String> {
        let url = Url::parse(&format!("store://{text}")).ok().filter(|_| !text.contains(['/', '?', '#', '@']));
        let server = url.and_then(|url| Some(Self { host: host(&url)?, port: url.port().unwrap_or(port) }));
        server.ok_or_else(|| {
            format!(
                "{option} names no server: use HOST:PORT alone, for it is asked with the same user, password and TLS"
            )
        })
    }
}

/// Whether a password with `/`, `?` or `#` in it has likely cut the URL: none stands before the host, and an `@` behind
/// that. In what an option says it may stand by itself.
fn is_cut(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (behind, prefix) = behind.split_once('#').unwrap_or((behind, ""));
    let (path, options) = behind.split_once('?').unwrap_or((behind, ""));
    let names = options.split('&').map(|option| option.split('=').next().unwrap_or_default());
    !authority.contains('@') && [path, prefix].into_iter().chain(names).any(|part| part.contains('@'))
}

fn host(url: &Url) -> Option<String> {
    Some(match url.host()? {
        Host::Ipv6(ip) => ip.to_string(),
        host => host.to_string(),
    })
    .filter(|host| !host.is_empty())
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| "what is percent-encoded is no UTF-8".to_owned())
}

fn database(path: &str, shape: &Shape) -> Result<u32, String> {
    match path.trim_matches('/') {
        "" => Ok(0),
        number if shape.databases => {
            number.parse().map_err(|_| "what stands behind the host is no number of a database".into())
        }
        _ => Err("nothing may stand behind the port".into()),
    }
}

/// Why a file with a secret cannot be used.
pub(super) fn unread(path: &Path, why: Unread) -> String {
    let path = path.display();
    match why {
        Unread::Io(why) => format!("{path}: {why}"),
        Unread::Exposed(mode) => format!("{path}: others can read it (mode {mode:04o}): chmod 600 {path}"),
    }
}

impl Store {
    /// Whether its files can be read: of the password, the certificates, the key.
    ///
    /// # Errors
    /// Which cannot, and why.
    pub(super) fn secrets(&self) -> Result<(), String> {
        self.password()?;
        let pair = self.cert.iter().flat_map(|(cert, key)| [cert, key]);
        for path in self.ca.iter().chain(pair) {
            std::fs::File::open(path).map_err(|why| format!("{}: {why}", path.display()))?;
        }
        Ok(())
    }
}

/// As a source is named: without what is secret or only says how it is reached.
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.server)?;
        if self.database > 0 {
            write!(f, "/{}", self.database)?;
        }
        if !self.prefix.is_empty() {
            write!(f, "#{}", self.prefix)?;
        }
        Ok(())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Never the password.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = if self.password.is_some() { "***" } else { "" };
        write!(f, "{self} user={:?} password={password} file={:?}", self.user, self.password_file)?;
        write!(f, " others={:?} primary={:?} ca={:?} cert={:?}", self.others, self.primary, self.ca, self.cert)
    }
}
