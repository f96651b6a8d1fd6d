//! The service token: given by the environment or made at first start; only its hash is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orlop::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};

/// Shortest service token, in characters.
pub const TOKEN_CHARS_MIN: usize = 32;

/// Who may call: whoever shows the service token.
#[derive(Clone)]
pub struct Auth {
    hash: [u8; 32],
}

impl Auth {
    /// Accepts this token.
    ///
    /// # Errors
    /// `Invalid` when it is shorter than [`TOKEN_CHARS_MIN`] or holds other than visible ASCII,
    /// which no header carries.
    pub fn from_token(token: &str) -> Result<Self> {
        let length = token.chars().count();
        if length < TOKEN_CHARS_MIN {
            return Err(Error::invalid(format!(
                "the service token has {length} characters, at least {TOKEN_CHARS_MIN} are needed; \
                 `openssl rand -hex 32` makes one"
            )));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(
                "the service token holds a character that is not visible ASCII",
            ));
        }
        Ok(Self { hash: hash(token) })
    }

    /// Accepts the token of this hash.
    pub fn from_hash(hash: [u8; 32]) -> Self {
        Self { hash }
    }

    /// The hash that is stored in place of the token.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Whether `token` is the one. Takes the same time wherever they differ.
    pub fn accepts(&self, token: &str) -> bool {
        let differing = self
            .hash
            .iter()
            .zip(hash(token))
            .fold(0, |differing, (ours, theirs)| differing | (ours ^ theirs));
        std::hint::black_box(differing) == 0
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth")
    }
}

/// A new token of 256 random bits.
///
/// # Errors
/// `Unavailable` when the system gives no random bytes.
pub fn new_token() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(
            ErrorKind::Unavailable,
            format!("the system gives no random bytes: {error}"),
        )
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// SHA-256 of a token: it is random and long, so a slow hash would add nothing.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_token_is_accepted() {
        let token = new_token().expect("random bytes");
        let auth = Auth::from_token(&token).expect("long enough");
        assert!(auth.accepts(&token), "the token itself");
        assert!(!auth.accepts(&format!("{token}x")), "one longer");
        assert!(!auth.accepts(""), "none");
        assert!(Auth::from_hash(auth.hash()).accepts(&token), "by its hash");
    }

    #[test]
    fn a_short_token_is_refused_without_being_told() {
        let error = Auth::from_token("hunter2").expect_err("too short");
        assert!(error.message().contains("7 characters"), "{error}");
        assert!(!error.message().contains("hunter2"), "{error}");
    }
}
