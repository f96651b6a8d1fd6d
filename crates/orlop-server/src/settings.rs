//! Settings: flags over environment over a file over defaults.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use orlop::{Error, Result};
use serde::Deserialize;

use crate::logs::LogFormat;

/// Default address.
pub const LISTEN: &str = "127.0.0.1:4410";

/// What a server or a command works with.
#[derive(Clone)]
pub struct Settings {
    /// A folder, `memory:`, or the `http://` address of a server. Default: `./NAME-data`.
    pub store: String,
    /// Redis in front of the store. Default: none.
    pub cache: Option<String>,
    /// Where `serve` listens; port 0 picks a free one. Default: [`LISTEN`].
    pub listen: SocketAddr,
    /// Written with address and process id when the server accepts connections.
    pub ready_file: Option<PathBuf>,
    /// The service token. When none, the stored one counts, and the first start makes it.
    pub admin_token: Option<String>,
    /// Largest body of a request, in bytes. Default: 20 MiB.
    pub body_bytes_max: usize,
    /// Longest time a request may take. Default: 30 s. Feeds are not bound by it.
    pub request_timeout: Duration,
    /// Longest time a shutdown waits for requests under way. Default: 20 s.
    pub drain_timeout: Duration,
    /// Memory for cached documents and lists, in bytes. Default: the library's.
    pub cache_bytes: Option<u64>,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or `target=level`. Default: `info`.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            store: "memory:".into(),
            cache: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 4410)),
            ready_file: None,
            admin_token: None,
            body_bytes_max: 20 * 1024 * 1024,
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
            cache_bytes: None,
            log: "info".into(),
            log_format: LogFormat::Auto,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the token, nor a store's address, which may hold a password.
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Settings of one origin; what it leaves open comes from the next.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// See [`Settings::store`].
    pub store: Option<String>,
    /// See [`Settings::cache`].
    pub cache: Option<String>,
    /// See [`Settings::listen`].
    pub listen: Option<String>,
    /// See [`Settings::ready_file`].
    pub ready_file: Option<PathBuf>,
    /// A file that holds the service token.
    pub admin_token_file: Option<PathBuf>,
    /// See [`Settings::body_bytes_max`].
    pub body_bytes_max: Option<usize>,
    /// See [`Settings::request_timeout`]; in milliseconds.
    pub request_timeout_ms: Option<u64>,
    /// See [`Settings::drain_timeout`]; in milliseconds.
    pub drain_timeout_ms: Option<u64>,
    /// See [`Settings::cache_bytes`].
    pub cache_bytes: Option<u64>,
    /// See [`Settings::log`].
    pub log: Option<String>,
    /// See [`Settings::log_format`].
    pub log_format: Option<LogFormat>,
}

/// Reads one variable of the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The settings of the program `name`, whose variables begin with its name in capitals.
///
/// # Errors
/// `Invalid` naming the setting, where it came from, and what it should be.
pub fn resolve(name: &str, flags: &Layer, config: Option<&Path>, env: Env<'_>) -> Result<Settings> {
    let prefix = name.to_uppercase();
    let env = |key: &str| env(key).filter(|value| !value.is_empty());
    let ours = |key: &str| env(&format!("{prefix}_{key}"));
    let config = config
        .map(Path::to_owned)
        .or_else(|| ours("CONFIG").map(PathBuf::from));
    let file = read_file(name, config.as_deref())?;
    let defaults = Settings::default();

    let store = (flags.store.clone())
        .or_else(|| ours("STORE"))
        .or_else(|| env("MONGODB_URI"))
        .or(file.store)
        .unwrap_or_else(|| format!("./{name}-data"));
    let cache = (flags.cache.clone())
        .or_else(|| ours("CACHE"))
        .or_else(|| env("REDIS_URL"))
        .or(file.cache);
    let listen = match &flags.listen {
        Some(address) => parse_listen(address, "--listen")?,
        None => match ours("LISTEN") {
            Some(address) => loopback(&address, &format!("{prefix}_LISTEN"))?,
            None => match &file.listen {
                Some(address) => loopback(address, "listen in the settings file")?,
                None => defaults.listen,
            },
        },
    };
    let number = |flag, key: &str, file| number(flag, &prefix, key, &ours, file);
    let body = number(
        flags.body_bytes_max.map(|n| n as u64),
        "BODY_BYTES_MAX",
        file.body_bytes_max.map(|n| n as u64),
    )?;
    let timeout = number(
        flags.request_timeout_ms,
        "REQUEST_TIMEOUT_MS",
        file.request_timeout_ms,
    )?;
    let drain = number(
        flags.drain_timeout_ms,
        "DRAIN_TIMEOUT_MS",
        file.drain_timeout_ms,
    )?;
    let log_format = match (flags.log_format, ours("LOG_FORMAT")) {
        (Some(format), _) => format,
        (None, Some(text)) => parse_format(&text, &prefix)?,
        (None, None) => file.log_format.unwrap_or_default(),
    };
    Ok(Settings {
        store,
        cache,
        listen,
        ready_file: flags.ready_file.clone().or(file.ready_file),
        admin_token: admin_token(&prefix, flags, &ours, file.admin_token_file)?,
        body_bytes_max: body
            .map_or(Ok(defaults.body_bytes_max), usize::try_from)
            .map_err(|_| Error::invalid("the largest body is over what memory can address"))?,
        request_timeout: timeout.map_or(defaults.request_timeout, Duration::from_millis),
        drain_timeout: drain.map_or(defaults.drain_timeout, Duration::from_millis),
        cache_bytes: number(flags.cache_bytes, "CACHE_BYTES", file.cache_bytes)?,
        log: (flags.log.clone())
            .or_else(|| ours("LOG"))
            .or(file.log)
            .unwrap_or(defaults.log),
        log_format,
    })
}

/// A number of the flags, else of the variable, else of the file.
fn number(
    flag: Option<u64>,
    prefix: &str,
    key: &str,
    ours: &dyn Fn(&str) -> Option<String>,
    file: Option<u64>,
) -> Result<Option<u64>> {
    match (flag, ours(key)) {
        (Some(flag), _) => Ok(Some(flag)),
        (None, Some(text)) => text
            .parse()
            .map(Some)
            .map_err(|_| Error::invalid(format!("{prefix}_{key} is not a whole number"))),
        (None, None) => Ok(file),
    }
}

fn read_file(name: &str, config: Option<&Path>) -> Result<Layer> {
    let default = PathBuf::from(format!("{name}.toml"));
    let path = config.unwrap_or(&default);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if config.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Layer::default());
        }
        Err(error) => {
            return Err(Error::invalid(format!(
                "settings file {}: {error}",
                path.display()
            )));
        }
    };
    toml::from_str(&text).map_err(|error| {
        // Only the message: toml's own rendering quotes the line, which may hold a password.
        Error::invalid(format!(
            "settings file {}: {}",
            path.display(),
            error.message()
        ))
    })
}

fn parse_listen(address: &str, origin: &str) -> Result<SocketAddr> {
    let address = address
        .strip_prefix("localhost:")
        .map_or_else(|| address.to_owned(), |port| format!("127.0.0.1:{port}"));
    address.parse().map_err(|_| {
        Error::invalid(format!(
            "{origin}: {address:?} is not an address with a port, such as {LISTEN}"
        ))
    })
}

/// Listening to other machines takes the flag: an inherited variable must not open the door.
fn loopback(address: &str, origin: &str) -> Result<SocketAddr> {
    let address = parse_listen(address, origin)?;
    if is_loopback(address.ip()) {
        return Ok(address);
    }
    Err(Error::invalid(format!(
        "{origin} asks for {address}, which other machines can reach; say so with --listen {address}"
    )))
}

pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn parse_format(text: &str, prefix: &str) -> Result<LogFormat> {
    <LogFormat as clap::ValueEnum>::from_str(text, true)
        .map_err(|_| Error::invalid(format!("{prefix}_LOG_FORMAT is auto, human or json")))
}

fn admin_token(
    prefix: &str,
    flags: &Layer,
    ours: &dyn Fn(&str) -> Option<String>,
    file: Option<PathBuf>,
) -> Result<Option<String>> {
    let path = match &flags.admin_token_file {
        Some(path) => Some(path.clone()),
        None => match (ours("ADMIN_TOKEN"), ours("ADMIN_TOKEN_FILE")) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid(format!(
                    "{prefix}_ADMIN_TOKEN and {prefix}_ADMIN_TOKEN_FILE are both set; keep one"
                )));
            }
            (Some(token), None) => return Ok(Some(token)),
            (None, path) => path.map(PathBuf::from).or(file),
        },
    };
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::invalid(format!("token file {}: {error}", path.display())))?;
    Ok(Some(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: &Layer, env: &[(&str, &str)], file: Option<&str>) -> Result<Settings> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deck.toml");
        std::fs::write(&path, file.unwrap_or("")).expect("writing the settings file");
        let env = |key: &str| {
            env.iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| (*value).to_owned())
        };
        resolve("deck", flags, Some(&path), &env)
    }

    #[test]
    fn flags_go_over_environment_over_file_over_defaults() {
        let flags = Layer {
            store: Some("flag".into()),
            ..Layer::default()
        };
        let env = [("DECK_STORE", "env"), ("MONGODB_URI", "uri")];
        let file = Some("store = \"file\"");
        let store = |flags: &Layer, env: &[(&str, &str)], file| {
            settings(flags, env, file).expect("settings").store
        };
        assert_eq!(store(&flags, &env, file), "flag");
        assert_eq!(store(&Layer::default(), &env, file), "env");
        assert_eq!(store(&Layer::default(), &env[1..], file), "uri");
        assert_eq!(store(&Layer::default(), &[], file), "file");
        assert_eq!(store(&Layer::default(), &[], None), "./deck-data");
        assert_eq!(
            store(&Layer::default(), &[("DECK_STORE", "")], None),
            "./deck-data"
        );
    }

    #[test]
    fn other_machines_are_let_in_by_the_flag_only() {
        let flags = Layer {
            listen: Some("0.0.0.0:80".into()),
            ..Layer::default()
        };
        assert_eq!(
            settings(&flags, &[], None).expect("by flag").listen.port(),
            80
        );
        let error = settings(&Layer::default(), &[("DECK_LISTEN", "0.0.0.0:80")], None)
            .expect_err("by the environment");
        assert!(error.message().contains("--listen 0.0.0.0:80"), "{error}");
        settings(&Layer::default(), &[], Some("listen = \"0.0.0.0:80\"")).expect_err("by the file");
        settings(&Layer::default(), &[("DECK_LISTEN", "localhost:0")], None).expect("loopback");
    }

    #[test]
    fn an_error_in_the_file_names_it_and_keeps_its_contents_to_itself() {
        let error = settings(
            &Layer::default(),
            &[],
            Some("stroe = \"mongodb://u:secret@h\""),
        )
        .expect_err("a misspelt setting");
        assert!(error.message().contains("deck.toml"), "{error}");
        assert!(error.message().contains("stroe"), "{error}");
        assert!(!error.message().contains("secret"), "{error}");
    }

    #[test]
    fn one_origin_of_the_token_is_enough() {
        let both = [("DECK_ADMIN_TOKEN", "x"), ("DECK_ADMIN_TOKEN_FILE", "y")];
        settings(&Layer::default(), &both, None).expect_err("two origins");
        let token = settings(&Layer::default(), &both[..1], None)
            .expect("one")
            .admin_token;
        assert_eq!(token.as_deref(), Some("x"));
    }
}
