//! The forms in which a token is printed.

use std::io::{self, Write};

use auth_all::core::{AccessToken, Secret, SecretBytes};
use os_display::Quoted;
use serde::{Deserialize, Serialize};
use shell_quote::{Fish, Sh};

use crate::account::Account;
use crate::args::Format;
use crate::clock::{stamp, unix};
use crate::failure::{Failure, Result};
use crate::session::Source;

/// What kubectl tells a plugin, as JSON.
pub(crate) const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

/// The text for stdout; `version` is that of [`version`].
pub(crate) fn render(
    format: Format,
    version: &'static str,
    account: &Account,
    token: &AccessToken,
    source: Source,
) -> Result<SecretBytes> {
    let mut out = SecretBytes::with_capacity(4096 + 2 * token.expose().len());
    let written = match format {
        Format::Token => writeln!(out, "{}", token.expose()),
        Format::Header => writeln!(out, "Authorization: {} {}", token.token_type(), token.expose()),
        Format::Json => json(&mut out, &Description::of(account, token, source)),
        Format::Env => for_shell(&mut out, account, token, ["export ", "="], |value| Sh::quote_vec(value)),
        Format::Fish => for_shell(&mut out, account, token, ["set -gx ", " "], |value| Fish::quote_vec(value)),
        Format::Powershell => for_shell(&mut out, account, token, ["$env:", " = "], |value| {
            Quoted::windows(value).to_string().into_bytes()
        }),
        Format::ExecCredential => json(&mut out, &ExecCredential::of(version, token)),
        Format::Curl => for_curl(&mut out, token),
    };
    written?;
    Ok(out)
}

/// What a command gets in its environment.
pub(crate) fn variables(account: &Account, token: &AccessToken) -> [(String, Secret); 2] {
    let name = format!("{}_ACCESS_TOKEN", account.prefix());
    let until = format!("{name}_EXPIRES_AT");
    [(name, token.expose().into()), (until, stamp(token.expires_at()).into())]
}

fn for_shell(
    out: &mut SecretBytes,
    account: &Account,
    token: &AccessToken,
    [set, to]: [&str; 2],
    quote: impl Fn(&str) -> Vec<u8>,
) -> io::Result<()> {
    variables(account, token).into_iter().try_for_each(|(name, value)| {
        write!(out, "{set}{name}{to}")?;
        out.write_all(SecretBytes::from(quote(value.expose())).as_ref())?;
        writeln!(out)
    })
}

/// All headers that a call needs, for `curl -K -`.
fn for_curl(out: &mut SecretBytes, token: &AccessToken) -> io::Result<()> {
    writeln!(out, "header = \"Authorization: {} {}\"", token.token_type(), escaped(token.expose()).expose())?;
    token.api_headers().iter().try_for_each(|(name, value)| {
        // Checked to be ASCII when it was built.
        let value = escaped(value.to_str().unwrap_or_default());
        writeln!(out, "header = \"{name}: {}\"", value.expose())
    })
}

/// By the rules of a curl config: within quotes, a backslash stands before a quote and before itself.
fn escaped(text: &str) -> Secret {
    let mut escaped = String::with_capacity(2 * text.len());
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped.into()
}

fn json(out: &mut SecretBytes, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Description<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_at: String,
    expires_at_unix: i64,
    issued_at: String,
    scope: Option<&'a str>,
    provider: &'a str,
    profile: Option<&'a str>,
    source: Source,
}

impl<'a> Description<'a> {
    fn of(account: &'a Account, token: &'a AccessToken, source: Source) -> Self {
        Self {
            access_token: token.expose(),
            token_type: token.token_type(),
            expires_at: stamp(token.expires_at()),
            expires_at_unix: unix(token.expires_at()),
            issued_at: stamp(token.issued().wall),
            scope: token.scope(),
            provider: account.provider,
            profile: account.is_profile.then_some(&account.name),
            source,
        }
    }
}

/// The answer of a credential plugin (client.authentication.k8s.io).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential<'a> {
    api_version: &'static str,
    kind: &'static str,
    status: Status<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    token: &'a str,
    expiration_timestamp: String,
}

/// What kubectl asks for, as far as it counts here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecInfo {
    api_version: String,
    kind: String,
}

const KIND: &str = "ExecCredential";
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

impl<'a> ExecCredential<'a> {
    fn of(api_version: &'static str, token: &'a AccessToken) -> Self {
        let status = Status { token: token.expose(), expiration_timestamp: stamp(token.expires_at()) };
        Self { api_version, kind: KIND, status }
    }
}

/// The version that kubectl asks for, where the format is its own: an answer in another one is refused there. `exec_info`
/// is what [`EXEC_INFO`] holds.
pub(crate) fn version(format: Format, exec_info: Option<&str>) -> Result<&'static str> {
    let Some(text) = exec_info.filter(|_| format == Format::ExecCredential) else { return Ok(VERSIONS[0]) };
    let info: Option<ExecInfo> = serde_json::from_str(text).ok();
    let Some(info) = info.filter(|info| info.kind == KIND) else {
        return Err(Failure::usage(format!("{EXEC_INFO} is set, and is not what kubectl sets: an {KIND} as JSON")));
    };
    let known = VERSIONS.into_iter().find(|version| *version == info.api_version);
    known.ok_or_else(|| Failure::usage(format!("{EXEC_INFO} asks for another version than {}", VERSIONS.join(" or "))))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn account(name: &str) -> Account {
        Account { name: name.into(), provider: "voipex", is_profile: name != "voipex", settings: Vec::new() }
    }

    fn rendered(format: Format, token: &str) -> String {
        let token = AccessToken::new(token.into(), Duration::from_secs(60)).unwrap();
        let out = render(format, VERSIONS[0], &account("support-desk"), &token, Source::Login).unwrap();
        String::from_utf8(out.as_ref().to_vec()).unwrap()
    }

    const HOSTILE: &str = r#"a'b"c\d$e`f;g"#;

    fn first(format: Format) -> String {
        rendered(format, HOSTILE).lines().next().unwrap().to_owned()
    }

    #[test]
    fn a_token_of_any_characters_is_one_word() {
        assert_eq!(rendered(Format::Token, HOSTILE), format!("{HOSTILE}\n"));
        assert_eq!(rendered(Format::Header, HOSTILE), format!("Authorization: Bearer {HOSTILE}\n"));
        assert_eq!(rendered(Format::Curl, HOSTILE), "header = \"Authorization: Bearer a'b\\\"c\\\\d$e`f;g\"\n");
        assert_eq!(first(Format::Powershell), r#"$env:SUPPORT_DESK_ACCESS_TOKEN = 'a''b"c\d$e`f;g'"#);
        assert_eq!(first(Format::Fish), r#"set -gx SUPPORT_DESK_ACCESS_TOKEN a\'b'"c\\d$e`f;g'"#);
    }

    #[cfg(unix)]
    #[test]
    fn sh_reads_what_was_written() {
        let script = format!("{}; printf %s \"$SUPPORT_DESK_ACCESS_TOKEN\"", first(Format::Env));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), HOSTILE);
    }

    #[test]
    fn json_has_all_its_members() {
        let value: serde_json::Value = serde_json::from_str(&rendered(Format::Json, "t")).unwrap();
        let expected = [
            "access_token",
            "token_type",
            "expires_at",
            "expires_at_unix",
            "issued_at",
            "scope",
            "provider",
            "profile",
            "source",
        ];
        let members = value.as_object().unwrap();
        assert_eq!(members.len(), expected.len());
        assert!(expected.iter().all(|name| members.contains_key(*name)));
        assert!(value["expires_at"].as_str().unwrap().ends_with('Z'));
        assert_eq!((value["scope"].is_null(), &value["profile"]), (true, &"support-desk".into()));
    }

    #[test]
    fn kubectl_is_answered_in_its_own_version() {
        let asked = |version: &str| {
            format!(r#"{{"kind":"ExecCredential","apiVersion":"{version}","spec":{{"interactive":false}}}}"#)
        };
        let version = |exec_info: Option<&str>| version(Format::ExecCredential, exec_info);
        assert_eq!(version(None).unwrap(), VERSIONS[0]);
        for known in VERSIONS {
            assert_eq!(version(Some(&asked(known))).unwrap(), known);
        }
        for wrong in ["", "{}", "[]", &asked("client.authentication.k8s.io/v2"), r#"{"kind":"Pod","apiVersion":"v1"}"#]
        {
            assert!(version(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
