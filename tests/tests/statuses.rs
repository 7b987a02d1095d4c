//! R6: the result of every HTTP status, with every kind of body, for every provider.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use auth_core::ErrorKind;
use auth_testing::ScriptedResponse;
use auth_tests::{SUBJECTS, Subject};

#[derive(Debug, Clone, Copy)]
enum Body {
    Token,
    Refusal,
    Html,
    Empty,
}

/// Returns the expected error, if any, and the expected number of requests.
fn expected(subject: &Subject, status: u16, body: Body) -> (Option<ErrorKind>, usize) {
    use ErrorKind::{Malformed, Misconfigured, Redirected, Refused, Throttled, Unavailable};

    let is_success = (200..300).contains(&status);
    match status {
        429 => return (Some(Throttled), 3),
        408 | 425 | 500..=599 => return (Some(Unavailable), 3),
        _ => {}
    }
    match body {
        Body::Token if is_success => return (None, 1),
        Body::Refusal if is_success || subject.refusal_overrides_status => return (Some(Refused), 1),
        Body::Html | Body::Empty if is_success => return (Some(Malformed), 2),
        _ => {}
    }
    let kind = match status {
        300..=399 => Redirected,
        404 | 405 | 407 => Misconfigured,
        400..=499 => Refused,
        _ => Malformed,
    };
    (Some(kind), 1)
}

#[tokio::test(start_paused = true)]
async fn r6_every_status_and_body_has_the_expected_result() {
    for subject in SUBJECTS {
        for status in 100..1000 {
            for body in [Body::Token, Body::Refusal, Body::Html, Body::Empty] {
                let text = match body {
                    Body::Token => subject.token_response("fake-token"),
                    Body::Refusal => subject.refusal.to_owned(),
                    Body::Html => "<html>An error page</html>".to_owned(),
                    Body::Empty => String::new(),
                };
                let (tokens, script) = subject.scripted(vec![ScriptedResponse::json(status, &text); 4]).unwrap();
                let kind = tokens.token().await.err().map(|error| error.kind());
                let outcome = (kind, script.requests().len());
                assert_eq!(outcome, expected(&subject, status, body), "{:?} {status} {body:?}", subject.api);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r6_a_404_or_405_names_the_settings_of_the_address() {
    for subject in SUBJECTS {
        for status in [404, 405] {
            let (tokens, _) = subject.scripted(vec![ScriptedResponse::json(status, "")]).unwrap();
            let error = tokens.token().await.unwrap_err().to_string();
            assert!(error.contains("`base_url`") && error.contains("`login_path`"), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r6_wrong_credentials_are_sent_once() {
    for subject in SUBJECTS {
        for status in [400, 401, 403] {
            let (tokens, script) = subject.scripted(vec![ScriptedResponse::json(status, subject.refusal); 4]).unwrap();
            let error = tokens.token().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused);
            assert_eq!((error.provider(), error.is_transient()), (Some(subject.api.name()), false));
            assert_eq!(script.requests().len(), 1);
        }
    }
}
