//! Saves the parts of a request that are needed to send it again if its token is rejected.

use std::future::poll_fn;
use std::pin::Pin;

use auth_core::Error;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body;
use smallvec::SmallVec;

use crate::BoxError;

/// Most requests have a URL and headers of fewer bytes than this, so saving them allocates nothing.
const INLINE_BYTES: usize = 208;
/// Most requests have at most this many headers, so saving their spans allocates nothing.
const INLINE_HEADERS: usize = 8;

/// Holds the URL and the headers of a request as plain bytes.
///
/// Every request is saved, and hardly any is replayed. A clone of the URL and the header map would cost several
/// allocations for each request. This costs none for most requests.
pub(crate) struct SavedHead {
    bytes: SmallVec<[u8; INLINE_BYTES]>,
    url: [u32; 2],
    headers: SmallVec<[HeaderSpan; INLINE_HEADERS]>,
}

/// Holds the lengths of a header's name and value. `HeaderName` limits names to less than 64 KiB.
struct HeaderSpan {
    value: u32,
    name: u16,
    is_sensitive: bool,
}

impl SavedHead {
    /// Saves headers and a URL, which is passed in two pieces.
    pub(crate) fn save(url: [&str; 2], headers: &HeaderMap) -> Self {
        let mut bytes = SmallVec::new();
        url.iter().for_each(|piece| bytes.extend_from_slice(piece.as_bytes()));
        let url = url.map(|piece| piece.len() as u32);
        let headers = headers.iter().map(|(name, value)| {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(value.as_bytes());
            HeaderSpan {
                name: name.as_str().len() as u16,
                value: value.len() as u32,
                is_sensitive: value.is_sensitive(),
            }
        });
        let headers = headers.collect();
        Self { bytes, url, headers }
    }

    /// Returns `true` if this is the saved URL, which must have been saved in one piece. Fragments are ignored.
    #[cfg(feature = "reqwest")]
    pub(crate) fn has_url(&self, url: &str) -> bool {
        without_fragment(&self.bytes[..self.url[0] as usize]) == without_fragment(url.as_bytes())
    }

    /// Returns the pieces of the URL, and the headers.
    pub(crate) fn restore(self) -> ([Bytes; 2], HeaderMap) {
        let mut bytes = Bytes::copy_from_slice(&self.bytes);
        let url = self.url.map(|length| bytes.split_to(length as usize));
        let mut headers = HeaderMap::new();
        for span in self.headers {
            let name = bytes.split_to(span.name as usize);
            let value = bytes.split_to(span.value as usize);
            // Always succeeds, because both were valid when they were saved.
            if let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(&name), HeaderValue::from_maybe_shared(value)) {
                value.set_sensitive(span.is_sensitive);
                headers.append(name, value);
            }
        }
        (url, headers)
    }
}

/// Removes the fragment, which a client never sends (RFC 9110 section 4.2.5).
#[cfg(feature = "reqwest")]
fn without_fragment(url: &[u8]) -> &[u8] {
    let end = url.iter().position(|byte| *byte == b'#').unwrap_or(url.len());
    &url[..end]
}

/// Returns the body and a copy of its bytes. There is no copy if the length is unknown or greater than `limit`.
///
/// # Errors
/// The body's own error, or [`Misconfigured`](auth_core::ErrorKind::Misconfigured) if the body has trailers or is
/// longer than its stated length.
pub(crate) async fn buffer_body<B>(mut body: B, limit: usize) -> Result<(B, Option<Bytes>), BoxError>
where
    B: Body<Error: Into<BoxError>> + From<Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok((body, Some(Bytes::new())));
    }
    let Some(length) = body.size_hint().exact().filter(|length| limit > 0 && *length <= limit as u64) else {
        return Ok((body, None));
    };
    let mut bytes = Bytes::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        // The body is rebuilt from bytes, which cannot carry trailers. An error is better than dropping them silently.
        let mut data = frame.map_err(Into::into)?.into_data().map_err(|_| unbufferable_body())?;
        if bytes.is_empty() {
            // The usual body is a single `Bytes`, for which `copy_to_bytes` only increments a reference count.
            bytes = data.copy_to_bytes(data.remaining());
        } else {
            let mut longer = BytesMut::from(bytes);
            longer.put(data);
            bytes = longer.freeze();
        }
        if bytes.len() as u64 > length {
            return Err(unbufferable_body().into());
        }
    }
    Ok((B::from(bytes.clone()), Some(bytes)))
}

fn unbufferable_body() -> Error {
    Error::misconfigured(
        "body_limit",
        "must be 0 for this request: its body has trailers or is longer than its stated length, so it cannot be \
         buffered",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_head_equals_the_saved_one() {
        let mut headers = HeaderMap::new();
        for number in 0..40 {
            headers.append("x-many", HeaderValue::from(number));
        }
        headers.insert("x-empty", HeaderValue::from_static(""));
        headers.insert("x-bytes", HeaderValue::from_bytes(b"\xf6 \t\xff").unwrap());
        let mut secret = HeaderValue::from_static("secret");
        secret.set_sensitive(true);
        headers.insert("cookie", secret);

        let (url, restored) = SavedHead::save(["api.example.com", "/a?b"], &headers).restore();
        assert_eq!(url, ["api.example.com", "/a?b"]);
        assert_eq!(restored, headers);
        assert!(restored["cookie"].is_sensitive() && !restored["x-empty"].is_sensitive());
    }
}
