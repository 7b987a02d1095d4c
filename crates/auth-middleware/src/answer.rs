//! The body of an answer, of which some may have been read to look for a rejection.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http::Response;
use http_body::{Body, Frame, SizeHint};

pin_project_lite::pin_project! {
    /// Gives an answer's body as the service gave it, trailers and all.
    pub struct ResponseBody<R: Body> {
        // What was read to look for a rejection.
        read: VecDeque<Frame<R::Data>>,
        is_read_to_its_end: bool,
        #[pin]
        rest: R,
    }
}

impl<R: Body> ResponseBody<R> {
    pub(crate) fn new(body: R) -> Self {
        Self { read: VecDeque::new(), is_read_to_its_end: false, rest: body }
    }
}

impl<R: Body> fmt::Debug for ResponseBody<R> {
    /// Without what was read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<R: Body> Body for ResponseBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let body = self.project();
        match body.read.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None if *body.is_read_to_its_end => Poll::Ready(None),
            None => body.rest.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && (self.is_read_to_its_end || self.rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.iter().filter_map(Frame::data_ref).map(|data| data.remaining() as u64).sum::<u64>();
        let rest = if self.is_read_to_its_end { SizeHint::with_exact(0) } else { self.rest.size_hint() };
        let mut hint = SizeHint::new();
        hint.set_lower(read + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(read + upper);
        }
        hint
    }
}

/// Tells whether the body of an answer rejects the token, by a rule; the body is still there after.
pub(crate) async fn ask<R>(
    mut answer: Response<ResponseBody<R>>,
    rule: fn(&[u8]) -> bool,
    limit: usize,
) -> Result<(Response<ResponseBody<R>>, bool), R::Error>
where
    R: Body + Unpin,
{
    let body = answer.body_mut();
    let mut bytes = Vec::new();
    while bytes.len() <= limit {
        let Some(frame) = poll_fn(|context| Pin::new(&mut body.rest).poll_frame(context)).await else {
            body.is_read_to_its_end = true;
            break;
        };
        let frame = frame?;
        // Data in one piece, as HTTP clients give it; in several, it is no short answer.
        let data = frame.data_ref().map_or(&[][..], Buf::chunk);
        bytes.extend_from_slice(data);
        if !data.is_empty() || frame.is_trailers() {
            body.read.push_back(frame);
        }
    }
    let is_rejected = body.is_read_to_its_end && rule(&bytes);
    Ok((answer, is_rejected))
}
