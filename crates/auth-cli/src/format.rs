//! The formats in which `auth token` prints a token.

use std::io::{self, Write};

use auth_all::core::{AccessToken, Secret, SecretBytes};
use os_display::Quoted;
use serde::{Deserialize, Serialize};
use shell_quote::{Fish, Sh};

use crate::account::Account;
use crate::args::Format;
use crate::error::{CliError, Result};
use crate::session::TokenOrigin;
use crate::timestamp::{rfc3339, unix_seconds};

/// The variable in which kubectl sends its request to a credential plugin, as JSON.
pub(crate) const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

/// Returns the text for stdout. `version` comes from [`exec_credential_version`] and matters for that format only.
pub(crate) fn render(
    format: Format,
    version: &'static str,
    account: &Account,
    token: &AccessToken,
    origin: TokenOrigin,
) -> Result<SecretBytes> {
    let mut out = SecretBytes::with_capacity(4096 + 2 * token.expose().len());
    let written = match format {
        Format::Token => writeln!(out, "{}", token.expose()),
        Format::Header => writeln!(out, "Authorization: {} {}", token.token_type(), token.expose()),
        Format::Json => json(&mut out, &TokenDescription::of(account, token, origin)),
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

/// Returns the variables that pass a token to a command or a shell.
pub(crate) fn variables(account: &Account, token: &AccessToken) -> [(String, Secret); 2] {
    let name = format!("{}_ACCESS_TOKEN", account.variable_prefix());
    let expires_at = format!("{name}_EXPIRES_AT");
    [(name, token.expose().into()), (expires_at, rfc3339(token.expires_at()).into())]
}

fn for_shell(
    out: &mut SecretBytes,
    account: &Account,
    token: &AccessToken,
    [prefix, separator]: [&str; 2],
    quote: impl Fn(&str) -> Vec<u8>,
) -> io::Result<()> {
    variables(account, token).into_iter().try_for_each(|(name, value)| {
        write!(out, "{prefix}{name}{separator}")?;
        out.write_all(SecretBytes::from(quote(value.expose())).as_ref())?;
        writeln!(out)
    })
}

/// Writes all headers that a call to the API needs, for `curl -K -`.
fn for_curl(out: &mut SecretBytes, token: &AccessToken) -> io::Result<()> {
    writeln!(out, "header = \"Authorization: {} {}\"", token.token_type(), escaped(token.expose()).expose())?;
    token.api_headers().iter().try_for_each(|(name, value)| {
        // The provider checked that the value is ASCII when it made the header.
        let value = escaped(value.to_str().unwrap_or_default());
        writeln!(out, "header = \"{name}: {}\"", value.expose())
    })
}

/// Escapes a quoted value of a curl config file: a quote or a backslash gets a backslash in front.
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
struct TokenDescription<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_at: String,
    expires_at_unix: i64,
    issued_at: String,
    scope: Option<&'a str>,
    provider: &'a str,
    profile: Option<&'a str>,
    source: TokenOrigin,
}

impl<'a> TokenDescription<'a> {
    fn of(account: &'a Account, token: &'a AccessToken, origin: TokenOrigin) -> Self {
        Self {
            access_token: token.expose(),
            token_type: token.token_type(),
            expires_at: rfc3339(token.expires_at()),
            expires_at_unix: unix_seconds(token.expires_at()),
            issued_at: rfc3339(token.issued().wall),
            scope: token.scope(),
            provider: account.provider,
            profile: account.is_profile.then_some(&account.name),
            source: origin,
        }
    }
}

/// The response of a credential plugin (client.authentication.k8s.io).
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

/// The parts of kubectl's request that matter here.
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
        let status = Status { token: token.expose(), expiration_timestamp: rfc3339(token.expires_at()) };
        Self { api_version, kind: KIND, status }
    }
}

/// Returns the API version in which kubectl expects the response. It refuses any other.
///
/// `exec_info` is the value of [`EXEC_INFO`]. It is ignored for formats other than [`Format::ExecCredential`].
pub(crate) fn exec_credential_version(format: Format, exec_info: Option<&str>) -> Result<&'static str> {
    let Some(text) = exec_info.filter(|_| format == Format::ExecCredential) else { return Ok(VERSIONS[0]) };
    let info: Option<ExecInfo> = serde_json::from_str(text).ok();
    let Some(info) = info.filter(|info| info.kind == KIND) else {
        return Err(CliError::usage(format!("{EXEC_INFO} must be an {KIND} as JSON, as kubectl sets it, or unset")));
    };
    let known = VERSIONS.into_iter().find(|version| *version == info.api_version);
    known.ok_or_else(|| {
        CliError::usage(format!("{EXEC_INFO} requests an unknown version; known are {}", VERSIONS.join(" and ")))
    })
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
        let out = render(format, VERSIONS[0], &account("support-desk"), &token, TokenOrigin::Login).unwrap();
        String::from_utf8(out.as_ref().to_vec()).unwrap()
    }

    const SPECIAL: &str = r#"a'b"c\d$e`f;g"#;

    fn first_line(format: Format) -> String {
        rendered(format, SPECIAL).lines().next().unwrap().to_owned()
    }

    #[test]
    fn a_token_with_special_characters_is_quoted() {
        assert_eq!(rendered(Format::Token, SPECIAL), format!("{SPECIAL}\n"));
        assert_eq!(rendered(Format::Header, SPECIAL), format!("Authorization: Bearer {SPECIAL}\n"));
        assert_eq!(rendered(Format::Curl, SPECIAL), "header = \"Authorization: Bearer a'b\\\"c\\\\d$e`f;g\"\n");
        assert_eq!(first_line(Format::Powershell), r#"$env:SUPPORT_DESK_ACCESS_TOKEN = 'a''b"c\d$e`f;g'"#);
        assert_eq!(first_line(Format::Fish), r#"set -gx SUPPORT_DESK_ACCESS_TOKEN a\'b'"c\\d$e`f;g'"#);
    }

    #[cfg(unix)]
    #[test]
    fn sh_reads_the_token_unchanged() {
        let script = format!("{}; printf %s \"$SUPPORT_DESK_ACCESS_TOKEN\"", first_line(Format::Env));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), SPECIAL);
    }

    #[test]
    fn json_has_all_documented_members() {
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
    fn kubectl_gets_the_version_that_it_requests() {
        let request = |version: &str| {
            format!(r#"{{"kind":"ExecCredential","apiVersion":"{version}","spec":{{"interactive":false}}}}"#)
        };
        let version = |exec_info: Option<&str>| exec_credential_version(Format::ExecCredential, exec_info);
        assert_eq!(version(None).unwrap(), VERSIONS[0]);
        for known in VERSIONS {
            assert_eq!(version(Some(&request(known))).unwrap(), known);
        }
        for wrong in
            ["", "{}", "[]", &request("client.authentication.k8s.io/v2"), r#"{"kind":"Pod","apiVersion":"v1"}"#]
        {
            assert!(version(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
