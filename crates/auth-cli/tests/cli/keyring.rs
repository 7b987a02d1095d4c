//! `{ keyring = "SERVICE/USER" }`, with a real Secret Service on a separate bus.

/// The group's name in the list of `cargo xtask test`.
const GROUP: &str = "the tests of the keyring";

#[cfg(not(all(feature = "keyring", target_os = "linux")))]
#[test]
fn left_out() {
    left_out::left_out(GROUP, "they need Linux and the feature `keyring` of auth-cli; `cargo xtask test` turns it on");
}

#[cfg(all(feature = "keyring", target_os = "linux"))]
mod real {
    use auth_sandbox::{Api, PASSWORD};
    use left_out::{has_program, left_out};

    use super::GROUP;
    use crate::support::{Home, PROGRAM, RunResult};

    #[test]
    fn a_secret_is_read_from_the_keyring() {
        for program in ["dbus-run-session", "gnome-keyring-daemon", "secret-tool"] {
            if !has_program(program) {
                left_out(GROUP, &format!("no {program} on the path; `cargo xtask test` installs it"));
                return;
            }
        }
        let home = Home::new().with("VOIPEX_PASSWORD", "");
        home.configure("[profile.desk]\nprovider = \"voipex\"\npassword = { keyring = \"auth-desk/me\" }\n", 0o644);
        let script = format!(
            "printf unlock | gnome-keyring-daemon --unlock --components=secrets >/dev/null
            {PROGRAM} token desk 2>&1
            printf {PASSWORD} | secret-tool store --label=test service auth-desk username me
            {PROGRAM} token desk --format header"
        );
        let bus = home.command("dbus-run-session", &["--", "sh", "-c", &script]).output();
        let result = RunResult::from(bus.unwrap());
        let (missing, found) = result.stdout.split_once('\n').unwrap();
        assert!(missing.contains("desk: `password`: the keyring has no entry `auth-desk/me`"), "{result:?}");
        assert!(found.starts_with("Authorization: Bearer "), "{result:?}");
        assert_eq!(home.sandbox.counters(Api::Voipex).logins, 1);
    }

    #[test]
    fn without_a_keyring_the_error_names_it() {
        let home = Home::new().with("VOIPEX_PASSWORD", "").with("DBUS_SESSION_BUS_ADDRESS", "unix:path=/no/such");
        let error_with = |entry: &str| {
            home.configure(
                &format!("[profile.desk]\nprovider = \"voipex\"\npassword = {{ keyring = \"{entry}\" }}\n"),
                0o644,
            );
            home.run(&["token", "desk"]).failed(2).to_owned()
        };
        assert!(error_with("no-user").contains("SERVICE/USER"));
        let stderr = error_with("auth-desk/me");
        assert!(stderr.contains("the keyring cannot be used"), "{stderr}");
    }
}
