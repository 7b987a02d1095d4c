//! Faults of the sandbox, as they are written on the command line.

use std::str::FromStr;

use auth_sandbox::{Api, Fault};

/// What goes wrong with one API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiFault {
    pub(crate) api: Api,
    pub(crate) fault: Fault,
}

impl FromStr for ApiFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (api, fault) = text.split_once('=').ok_or("give API=FAULT, such as voipex=503")?;
        let known = Api::ALL.into_iter().find(|known| known.name() == api);
        let api = known.ok_or_else(|| format!("`{api}` is none of {}", Api::ALL.map(Api::name).join(", ")))?;
        Ok(Self { api, fault: parse(fault)? })
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let (kind, value) = text.split_once(':').map_or((text, None), |(kind, value)| (kind, Some(value)));
    let value_of = |example: &str| value.filter(|value| !value.is_empty()).ok_or(format!("give {kind}:{example}"));
    let duration =
        || humantime::parse_duration(value_of("500ms")?).map_err(|_| format!("give {kind}:500ms, or another time"));
    match (kind, value) {
        ("retry-after", _) => {
            let seconds: u32 = value_of("30")?.parse().map_err(|_| "give retry-after:30, or other whole seconds")?;
            Ok(Fault::RetryAfter(429, seconds.to_string()))
        }
        ("latency", _) => Ok(Fault::Latency(duration()?)),
        ("drip", _) => Ok(Fault::Drip(duration()?)),
        ("truncated", None) => Ok(Fault::Truncated),
        ("oversized", None) => Ok(Fault::Oversized),
        ("redirect", _) => Ok(Fault::Redirect(307, value_of("https://other.example/")?.into())),
        ("body", Some(body)) => Ok(Fault::Body(body.into())),
        (status, None) => match status.parse() {
            Ok(status @ 200..=999) => Ok(Fault::Status(status)),
            _ => Err(format!("`{text}` is no fault; `auth sandbox --help` lists them")),
        },
        _ => Err(format!("`{text}` is no fault; `auth sandbox --help` lists them")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn faults_are_read() {
        let cases = [
            ("503", Fault::Status(503)),
            ("retry-after:30", Fault::RetryAfter(429, "30".into())),
            ("latency:2s", Fault::Latency(Duration::from_secs(2))),
            ("drip:10ms", Fault::Drip(Duration::from_millis(10))),
            ("truncated", Fault::Truncated),
            ("oversized", Fault::Oversized),
            ("redirect:https://other.example/", Fault::Redirect(307, "https://other.example/".into())),
            ("body:{\"a\":1}", Fault::Body("{\"a\":1}".into())),
        ];
        for (text, fault) in cases {
            assert_eq!(format!("zoqq={text}").parse(), Ok(ApiFault { api: Api::Zoqq, fault }), "{text}");
        }
        for wrong in [
            "zoqq",
            "acme=503",
            "zoqq=",
            "zoqq=20",
            "zoqq=latency",
            "zoqq=latency:soon",
            "zoqq=redirect:",
            "zoqq=retry-after:soon",
            "zoqq=truncated:5",
            "zoqq=body",
        ] {
            assert!(wrong.parse::<ApiFault>().is_err(), "{wrong}");
        }
    }
}
