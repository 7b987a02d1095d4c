//! What is kept of a request until its answer is known to be no rejection.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body;
use smallvec::SmallVec;

/// Most requests have fewer headers, and then their copy takes no allocation of its own.
const USUAL: usize = 12;

/// A copy of headers without their map, which is only made where it is needed.
pub(crate) struct Headers(SmallVec<[(HeaderName, HeaderValue); USUAL]>);

impl Headers {
    pub(crate) fn keep(headers: &HeaderMap) -> Self {
        Self(headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    pub(crate) fn into_map(self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.0.len() + 2);
        for (name, value) in self.0 {
            headers.append(name, value);
        }
        headers
    }
}

/// Gives a body back with a copy of its bytes; without one where its length is unknown, or over `limit`.
pub(crate) async fn keep_body<B>(body: B, limit: usize) -> Result<(B, Option<Bytes>), B::Error>
where
    B: Body + From<Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok((body, Some(Bytes::new())));
    }
    match body.size_hint().exact() {
        Some(length) if length <= limit as u64 => {
            let bytes = read(body).await?;
            Ok((B::from(bytes.clone()), Some(bytes)))
        }
        _ => Ok((body, None)),
    }
}

async fn read<B: Body + Unpin>(mut body: B) -> Result<Bytes, B::Error> {
    let mut bytes = Bytes::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(mut data) = frame?.into_data() else { continue };
        if bytes.is_empty() {
            // The usual body is one piece, which is taken without a copy.
            bytes = data.copy_to_bytes(data.remaining());
        } else {
            let mut more = BytesMut::from(bytes);
            more.put(data);
            bytes = more.freeze();
        }
    }
    Ok(bytes)
}
