//! The settings of a provider, as flags.

use clap::{Args, ValueHint};

/// The settings of a provider. None of these takes a secret.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Settings of the provider")]
pub(crate) struct Flags {
    /// Scheme, host and an optional path prefix
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    base_url: Option<String>,
    /// The path of the login
    #[arg(long, value_name = "PATH")]
    login_path: Option<String>,
    /// Which revision of the login the server speaks
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// The client id
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The user name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// The e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Cambyopro: the name of the client id's field in the request
    #[arg(long, value_name = "NAME")]
    client_id_field: Option<String>,
    /// Cambyopro: the name of the client secret's field in the request
    #[arg(long, value_name = "NAME")]
    client_secret_field: Option<String>,
    /// The scope to ask for, space-separated
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
    /// What was given, by the names of the settings.
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

    /// The setting whose value is on stdin.
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
    use clap::CommandFactory;

    use crate::args::Cli;
    use crate::setting::is_secret;

    #[test]
    fn each_setting_has_its_flag_and_a_secret_is_for_stdin() {
        let command = Cli::command();
        let token = command.find_subcommand("token").unwrap();
        let has = |flag: &str| token.get_arguments().any(|argument| argument.get_long() == Some(flag));
        for setting in ProviderConfig::PROVIDERS.iter().flat_map(|name| ProviderConfig::setting_names(name).unwrap()) {
            let flag = setting.replace('_', "-");
            assert_eq!(has(&flag), !is_secret(setting), "{setting}");
            assert_eq!(has(&format!("{flag}-stdin")), is_secret(setting), "{setting}");
        }
    }
}
