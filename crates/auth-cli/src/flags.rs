//! The flags with a provider's settings.

use clap::{Args, ValueHint};

/// The settings of a provider. No flag takes a secret, because other users can see a program's arguments.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Settings of the provider")]
pub(crate) struct Flags {
    /// Sets the URL of the API: scheme, host and an optional path prefix
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    base_url: Option<String>,
    /// Sets the path of the login
    #[arg(long, value_name = "PATH")]
    login_path: Option<String>,
    /// Sets the revision of the login API
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// Sets the client id
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Sets the user name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Sets the e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Sets the name of the request field for the client id (Cambyopro)
    #[arg(long, value_name = "NAME")]
    client_id_field: Option<String>,
    /// Sets the name of the request field for the client secret (Cambyopro)
    #[arg(long, value_name = "NAME")]
    client_secret_field: Option<String>,
    /// Sets the scopes to request, separated by spaces
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Reads the password from stdin
    #[arg(long, group = "stdin")]
    password_stdin: bool,
    /// Reads the API key from stdin
    #[arg(long, group = "stdin")]
    api_key_stdin: bool,
    /// Reads the client secret from stdin
    #[arg(long, group = "stdin")]
    client_secret_stdin: bool,
}

impl Flags {
    /// Returns the settings that were given, by name.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("base_url", &self.base_url),
            ("login_path", &self.login_path),
            ("revision", &self.revision),
            ("client_id", &self.client_id),
            ("username", &self.username),
            ("email", &self.email),
            ("client_id_field", &self.client_id_field),
            ("client_secret_field", &self.client_secret_field),
            ("scope", &self.scope),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// Returns the setting to read from stdin.
    pub(crate) fn on_stdin(&self) -> Option<&'static str> {
        let all = [
            ("password", self.password_stdin),
            ("api_key", self.api_key_stdin),
            ("client_secret", self.client_secret_stdin),
        ];
        all.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use auth_all::ProviderConfig;
    use clap::{Args, Command};

    use super::Flags;
    use crate::setting::is_secret;

    #[test]
    fn every_setting_has_a_flag_and_a_secret_is_read_from_stdin() {
        let command = Flags::augment_args(Command::new("auth"));
        let has = |flag: &str| command.get_arguments().any(|argument| argument.get_long() == Some(flag));
        for setting in ProviderConfig::PROVIDERS.iter().flat_map(|name| ProviderConfig::setting_names(name).unwrap()) {
            let flag = setting.replace('_', "-");
            assert_eq!(has(&flag), !is_secret(setting), "{setting}");
            assert_eq!(has(&format!("{flag}-stdin")), is_secret(setting), "{setting}");
        }
    }
}
