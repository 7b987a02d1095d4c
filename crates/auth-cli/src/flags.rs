//! The flags with a provider's settings, made from the providers' tables of settings.

use auth_all::ProviderConfig;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, ValueHint};

use crate::setting::{all_settings, is_secret};

/// The settings of a provider. No flag takes a secret, because other users can see a program's arguments.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    given: Vec<(&'static str, String)>,
    on_stdin: Option<&'static str>,
}

impl Flags {
    /// Returns the name and the value of each setting that was given.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.given.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Returns the setting to read from stdin.
    pub(crate) fn on_stdin(&self) -> Option<&'static str> {
        self.on_stdin
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        command.args(names().into_iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        for name in names() {
            if is_secret(name) {
                flags.on_stdin = flags.on_stdin.or(matches.get_flag(name).then_some(name));
            } else if let Some(value) = matches.get_one::<String>(name) {
                flags.given.push((name, value.clone()));
            }
        }
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns the names of all settings, each once.
fn names() -> Vec<&'static str> {
    let mut names = Vec::new();
    for (_, setting) in all_settings() {
        if !names.contains(&setting.name) {
            names.push(setting.name);
        }
    }
    names
}

/// Returns the flag of a setting: `--client-id ID`, or `--password-stdin` for a secret.
fn flag(name: &'static str) -> Arg {
    let long = name.replace('_', "-");
    let help = help(name);
    let arg = Arg::new(name).help_heading("Settings of the provider");
    if is_secret(name) {
        let help = format!("Reads {help} from stdin");
        return arg.long(format!("{long}-stdin")).help(help).action(ArgAction::SetTrue).group("stdin");
    }
    let value = name.rsplit('_').next().unwrap_or(name).to_ascii_uppercase();
    let hint = if value == "URL" { ValueHint::Url } else { ValueHint::Unknown };
    arg.long(long).help(format!("Sets {help}")).value_name(value).value_hint(hint)
}

/// Returns the help text of a setting. If not all providers have the setting, the text ends with those that do.
fn help(name: &str) -> String {
    let known: Vec<_> = all_settings().filter(|(_, setting)| setting.name == name).collect();
    let help = known.first().map_or(name, |(_, setting)| setting.help);
    if known.len() == ProviderConfig::PROVIDERS.len() {
        return help.into();
    }
    let providers: Vec<_> = known.into_iter().map(|(provider, _)| provider).collect();
    format!("{help} ({})", providers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Flags, Error> {
        let command = Flags::augment_args(Command::new("auth").no_binary_name(true));
        Flags::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    #[test]
    fn every_setting_has_a_flag_and_a_secret_is_read_from_stdin() {
        let command = Flags::augment_args(Command::new("auth"));
        let has = |flag: &str| command.get_arguments().any(|argument| argument.get_long() == Some(flag));
        for (_, setting) in all_settings() {
            let flag = setting.name.replace('_', "-");
            assert_eq!(has(&flag), !setting.is_secret, "{flag}");
            assert_eq!(has(&format!("{flag}-stdin")), setting.is_secret, "{flag}");
        }
    }

    #[test]
    fn flags_are_returned_by_the_names_of_their_settings() {
        let flags = parse(&["--client-id", "me", "--base-url", "https://x", "--password-stdin"]).unwrap();
        let mut given: Vec<_> = flags.given().collect();
        given.sort_unstable();
        assert_eq!(given, [("base_url", "https://x"), ("client_id", "me")]);
        assert_eq!(flags.on_stdin(), Some("password"));
    }

    #[test]
    fn only_one_secret_can_be_read_from_stdin() {
        assert!(parse(&["--password-stdin", "--api-key-stdin"]).is_err());
    }

    #[test]
    fn the_help_names_the_providers_of_a_setting_that_not_all_have() {
        assert_eq!(help("client_id"), "the client id");
        assert_eq!(help("password"), "the password (voipex)");
    }
}
