//! Sealing: what a store keeps can be read, and changed, by those alone who hold a key.

use std::sync::Arc;

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::EntryName;
use super::keys::{Key, SealingKeys};
use crate::error::Error;
use crate::message::Request;
use crate::secret::{Secret, SecretBytes};

const SEALED: &str = "2";
const NAME_BYTES: usize = 16;
const FOREIGN: &str = "it is nothing that was put there";

/// Says how a store's entries are sealed: with keys, or not at all.
#[derive(Debug, Clone)]
pub struct Sealing(Option<Arc<SealingKeys>>);

impl Sealing {
    /// Seals with AES-256-GCM: what lies in the store tells nothing, and what was changed, moved or put there by others
    /// is not taken.
    #[must_use]
    pub fn with_keys(keys: SealingKeys) -> Self {
        Self(Some(Arc::new(keys)))
    }

    /// Seals nothing: whoever reads the store has the tokens, and whoever sees a name can try out passwords against it.
    /// For files that only their owner can read.
    #[must_use]
    pub fn plain() -> Self {
        Self(None)
    }

    /// Names the entry of these credentials: of a provider's [name](crate::Provider::name) and its
    /// [identity](crate::Provider::identity).
    #[must_use]
    pub fn name(&self, provider: &str, identity: &Request) -> EntryName {
        let mut hash = match &self.0 {
            Some(keys) => hmac::Context::with_key(keys.naming()),
            None => hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, b"auth-core plain store")),
        };
        // Each part with its length, so that no two lists of parts run into the same bytes.
        let mut add = |part: &[u8]| {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(provider.as_bytes());
        add(identity.uri().to_string().as_bytes());
        for (name, value) in identity.headers() {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
        add(identity.body());
        let tag = hash.sign();
        EntryName(tag.as_ref().iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Seals a part of the entry of this name.
    pub(crate) fn seal(&self, name: &EntryName, part: &str, plain: SecretBytes) -> Result<Secret, Error> {
        let mut bytes = plain.into_buffer();
        let Some(keys) = &self.0 else {
            let text = String::from_utf8(std::mem::take(&mut *bytes));
            return text.map(Secret::from).map_err(|_| Error::internal("an entry is no text"));
        };
        let key = keys.sealing();
        let nonce = key.aead.seal_in_place_append_tag(aad(key, name, part), &mut *bytes);
        let nonce = nonce.map_err(|_| Error::internal("the cipher failed"))?;
        let sealed = [nonce.as_ref().as_slice(), &bytes].concat();
        Ok(format!("{SEALED}:{}:{}", key.number, URL_SAFE_NO_PAD.encode(sealed)).into())
    }

    /// Opens a part of the entry of this name, or says why it cannot be.
    pub(crate) fn open(&self, name: &EntryName, part: &str, text: &Secret) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let text = text.expose();
        let Some(keys) = &self.0 else {
            let plain = text.starts_with('{').then(|| Zeroizing::new(text.as_bytes().to_vec()));
            return plain.ok_or("it is sealed, or of another version");
        };
        let (version, text) = text.split_once(':').ok_or(FOREIGN)?;
        if version != SEALED {
            return Err("it is not sealed, or of another version");
        }
        let (number, text) = text.split_once(':').ok_or(FOREIGN)?;
        let key = keys.numbered(number).ok_or("its key is not known here")?;
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| FOREIGN)?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(FOREIGN)?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.aead.open_in_place(nonce, aad(key, name, part), &mut bytes);
        let length = opened.map_err(|_| "it was changed, moved, or sealed with another key")?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// What is not secret, but must be as it was: version, key, entry and part.
fn aad(key: &Key, name: &EntryName, part: &str) -> Aad<Vec<u8>> {
    Aad::from(format!("{SEALED}:{}:{}:{part}", key.number, name.as_str()).into_bytes())
}
