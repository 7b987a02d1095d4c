//! What is kept of a request until its answer is known to be no rejection.

use std::future::poll_fn;
use std::pin::Pin;

use auth_core::Error;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body;
use smallvec::SmallVec;

use crate::BoxError;

/// Most requests' heads are shorter, and have fewer headers: then their copy takes no allocation of its own.
const USUAL_LENGTH: usize = 208;
const USUAL_HEADERS: usize = 8;

/// The URL and the headers of a request as plain text. Clones of the parts themselves would each take an allocation, for
/// a copy that is hardly ever needed.
pub(crate) struct Head {
    text: SmallVec<[u8; USUAL_LENGTH]>,
    url: [u32; 2],
    headers: SmallVec<[Span; USUAL_HEADERS]>,
}

/// How long a header's name and value are; a name is shorter than 64 KiB (`HeaderName` itself sees to that).
struct Span {
    value: u32,
    name: u16,
    is_sensitive: bool,
}

impl Head {
    /// Keeps a URL, which is given in two pieces, and headers.
    pub(crate) fn keep(url: [&str; 2], headers: &HeaderMap) -> Self {
        let mut text = SmallVec::new();
        url.iter().for_each(|piece| text.extend_from_slice(piece.as_bytes()));
        let url = url.map(|piece| piece.len() as u32);
        let headers = headers.iter().map(|(name, value)| {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(value.as_bytes());
            Span { name: name.as_str().len() as u16, value: value.len() as u32, is_sensitive: value.is_sensitive() }
        });
        let headers = headers.collect();
        Self { text, url, headers }
    }

    /// Whether the URL, which was kept in one piece, is this one but for the fragment, which is never sent.
    #[cfg(feature = "reqwest")]
    pub(crate) fn is_of(&self, url: &str) -> bool {
        let sent = |url: &[u8]| url.iter().position(|byte| *byte == b'#').unwrap_or(url.len());
        let (own, url) = (&self.text[..self.url[0] as usize], url.as_bytes());
        own[..sent(own)] == url[..sent(url)]
    }

    /// Gives back the pieces of the URL, and the headers.
    pub(crate) fn restore(self) -> ([Bytes; 2], HeaderMap) {
        let mut text = Bytes::copy_from_slice(&self.text);
        let url = self.url.map(|length| text.split_to(length as usize));
        let mut headers = HeaderMap::new();
        for span in self.headers {
            let (name, value) = (text.split_to(span.name as usize), text.split_to(span.value as usize));
            // They were a name and a value before.
            if let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(&name), HeaderValue::from_maybe_shared(value)) {
                value.set_sensitive(span.is_sensitive);
                headers.append(name, value);
            }
        }
        (url, headers)
    }
}

/// Gives a body back with a copy of its bytes; without one where its length is unknown, or over `limit`.
pub(crate) async fn keep_body<B>(mut body: B, limit: usize) -> Result<(B, Option<Bytes>), BoxError>
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
        // What cannot be made again of bytes alone must not be lost.
        let mut data = frame.map_err(Into::into)?.into_data().map_err(|_| other_than_stated())?;
        if bytes.is_empty() {
            // The usual body is one piece, which is taken without a copy.
            bytes = data.copy_to_bytes(data.remaining());
        } else {
            let mut more = BytesMut::from(bytes);
            more.put(data);
            bytes = more.freeze();
        }
        if bytes.len() as u64 > length {
            return Err(other_than_stated().into());
        }
    }
    Ok((B::from(bytes.clone()), Some(bytes)))
}

fn other_than_stated() -> Error {
    Error::misconfigured(
        "body_limit",
        "is too much: a body has trailers, or more bytes than it states; set 0 to pass it on",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_as_it_was() {
        let mut headers = HeaderMap::new();
        for number in 0..40 {
            headers.append("x-many", HeaderValue::from(number));
        }
        headers.insert("x-empty", HeaderValue::from_static(""));
        headers.insert("x-bytes", HeaderValue::from_bytes(b"\xf6 \t\xff").unwrap());
        let mut secret = HeaderValue::from_static("secret");
        secret.set_sensitive(true);
        headers.insert("cookie", secret);

        let (url, restored) = Head::keep(["api.example.com", "/a?b"], &headers).restore();
        assert_eq!(url, ["api.example.com", "/a?b"]);
        assert_eq!(restored, headers);
        assert!(restored["cookie"].is_sensitive() && !restored["x-empty"].is_sensitive());
    }
}
