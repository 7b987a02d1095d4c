//! The faults of `auth sandbox --fault API=FAULT`.

use std::str::FromStr;

use auth_sandbox::{Api, Fault};

/// A fault of one API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SandboxFault {
    pub(crate) api: Api,
    pub(crate) fault: Fault,
}

impl FromStr for SandboxFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (api, fault) = text.split_once('=').ok_or("expected API=FAULT, such as voipex=503")?;
        let known = Api::ALL.into_iter().find(|known| known.name() == api);
        let api = known.ok_or_else(|| format!("`{api}` must be one of: {}", Api::ALL.map(Api::name).join(", ")))?;
        Ok(Self { api, fault: parse(fault)? })
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let (kind, value) = text.split_once(':').map_or((text, None), |(kind, value)| (kind, Some(value)));
    let value_of = |example: &str| {
        value.filter(|value| !value.is_empty()).ok_or(format!("expected a value, such as {kind}:{example}"))
    };
    let duration =
        || humantime::parse_duration(value_of("500ms")?).map_err(|_| format!("expected a time, such as {kind}:500ms"));
    match (kind, value) {
        ("retry-after", _) => {
            let seconds: u32 = value_of("30")?.parse().map_err(|_| "expected whole seconds, such as retry-after:30")?;
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
            _ => Err(unknown_fault(text)),
        },
        _ => Err(unknown_fault(text)),
    }
}

fn unknown_fault(text: &str) -> String {
    format!("unknown fault `{text}`; `auth sandbox --help` lists the faults")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn faults_are_parsed() {
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
            assert_eq!(format!("zoqq={text}").parse(), Ok(SandboxFault { api: Api::Zoqq, fault }), "{text}");
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
            assert!(wrong.parse::<SandboxFault>().is_err(), "{wrong}");
        }
    }
}
