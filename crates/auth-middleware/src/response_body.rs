//! The body of a response. A part of it may already have been read to look for a rejection.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http::Response;
use http_body::{Body, Frame, SizeHint};

pin_project_lite::pin_project! {
    /// Yields the frames of the inner service's response body unchanged, including trailers.
    pub struct ResponseBody<R: Body> {
        // Frames that were read to look for a rejection; they are yielded first.
        buffered: VecDeque<Frame<R::Data>>,
        is_inner_complete: bool,
        #[pin]
        inner: R,
    }
}

impl<R: Body> ResponseBody<R> {
    pub(crate) fn new(body: R) -> Self {
        Self { buffered: VecDeque::new(), is_inner_complete: false, inner: body }
    }
}

impl<R: Body> fmt::Debug for ResponseBody<R> {
    /// Leaves out the buffered frames, because a body may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<R: Body> Body for ResponseBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let body = self.project();
        match body.buffered.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None if *body.is_inner_complete => Poll::Ready(None),
            None => body.inner.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.buffered.is_empty() && (self.is_inner_complete || self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.buffered.iter().filter_map(Frame::data_ref);
        let buffered = data.map(|data| data.remaining() as u64).sum::<u64>();
        let inner = if self.is_inner_complete { SizeHint::with_exact(0) } else { self.inner.size_hint() };
        let mut hint = SizeHint::new();
        hint.set_lower(buffered + inner.lower());
        if let Some(upper) = inner.upper() {
            hint.set_upper(buffered + upper);
        }
        hint
    }
}

/// Returns the response, and `true` if `rule` finds a rejection of the token in its body.
///
/// The frames that are read here stay in the response, so the caller still receives the whole body. A body that is
/// longer than `limit` is not a rejection.
///
/// # Errors
/// The error of the body if it cannot be read.
pub(crate) async fn check_body<R>(
    mut response: Response<ResponseBody<R>>,
    rule: fn(&[u8]) -> bool,
    limit: usize,
) -> Result<(Response<ResponseBody<R>>, bool), R::Error>
where
    R: Body + Unpin,
{
    let body = response.body_mut();
    let mut bytes = Vec::new();
    while bytes.len() <= limit {
        let Some(frame) = poll_fn(|context| Pin::new(&mut body.inner).poll_frame(context)).await else {
            // Some bodies panic if they are polled again after their end, so the end is remembered.
            body.is_inner_complete = true;
            break;
        };
        let frame = frame?;
        // HTTP clients yield data in contiguous buffers, so the first chunk is all of it. If a buffer has more chunks,
        // the rule sees less than the whole body. The caller still receives all of it: the frame itself is kept.
        let data = frame.data_ref().map_or(&[][..], Buf::chunk);
        bytes.extend_from_slice(data);
        if !data.is_empty() || frame.is_trailers() {
            body.buffered.push_back(frame);
        }
    }
    let is_rejected = body.is_inner_complete && rule(&bytes);
    Ok((response, is_rejected))
}
