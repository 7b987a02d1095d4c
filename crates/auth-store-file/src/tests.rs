use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use auth_core::{ErrorKind, SystemClock, TokenManager};
use auth_testing::{Script, ScriptedResponse, TestProvider};
use tempfile::TempDir;

use super::*;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TTL: Duration = Duration::from_secs(60);

/// Returns a directory that does not exist yet. It is removed when the first value is dropped.
fn new_dir() -> (TempDir, String) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("cache/auth").to_str().unwrap().to_owned();
    (home, dir)
}

fn open(dir: &str) -> FileStore {
    FileStore::builder().with_dir(dir).build().unwrap()
}

/// Returns the manager of a process that has just started.
fn manager(password: &str, script: &Script, store: FileStore) -> TokenManager {
    let builder = script.builder_for(TestProvider::new(password)).with_clock(SystemClock);
    builder.with_store(Arc::new(store)).build().unwrap()
}

fn process(script: &Script, dir: &str) -> TokenManager {
    manager("password", script, open(dir))
}

/// Saves a token through a manager, and returns the name of its entry.
async fn name(dir: &str) -> EntryName {
    let script = Script::new([ScriptedResponse::token("t", 1000)]);
    process(&script, dir).token().await.unwrap();
    let files = files(dir);
    let name = files.iter().find_map(|file| file.strip_suffix(".v2.json")).unwrap();
    EntryName::parse(name).unwrap()
}

fn files(dir: &str) -> Vec<String> {
    let mut files: Vec<_> =
        fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    files
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

fn update(access: Option<&str>, refresh: Option<&str>) -> EntryUpdate {
    let mut update = EntryUpdate::new(TTL);
    update.access = access.map(Secret::from);
    update.refresh = refresh.map(Secret::from);
    update
}

async fn granted(store: &FileStore, name: &EntryName, known: LeaseNumber) -> LeaseNumber {
    match store.lease(name, known, TTL).await.unwrap().0 {
        LeaseOutcome::Granted(lease_number) => lease_number,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn p9_only_the_owner_has_access_to_directory_and_files() {
    let (_home, dir) = new_dir();
    name(&dir).await;
    assert_eq!(mode(Path::new(&dir)), 0o700);
    for file in files(&dir) {
        assert_eq!(mode(&Path::new(&dir).join(&file)), 0o600, "{file}");
    }
    assert_eq!(files(&dir).len(), 3, "{:?}", files(&dir));
}

#[tokio::test]
async fn p9_files_and_directories_that_others_can_read_are_refused() {
    let (_home, dir) = new_dir();
    let name = name(&dir).await;
    let store = open(&dir);
    let entry = Path::new(&dir).join(format!("{}.v2.json", name.as_str()));
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o640)).unwrap();
    let error = store.load(&name).await.unwrap_err();
    assert!(format!("{error:?}").contains("chmod 600"), "{error:?}");

    fs::set_permissions(&dir, fs::Permissions::from_mode(0o750)).unwrap();
    let error = FileStore::builder().with_dir(&dir).build().unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Misconfigured, Some("dir")));
    assert!(error.to_string().contains("AUTH_CACHE_DIR") && error.to_string().contains("chmod 700"), "{error}");
    assert!(store.load(&name).await.is_err(), "each call checks the directory");
}

#[tokio::test]
async fn p9_symbolic_links_are_refused() {
    let (home, dir) = new_dir();
    let name = name(&dir).await;
    let link = home.path().join("link");
    symlink(&dir, &link).unwrap();
    FileStore::builder().with_dir(&link).build().unwrap_err();
    FileStore::builder().with_dir(link.join("")).build().unwrap_err();

    for file in [format!("{}.v2.json", name.as_str()), "lock".to_owned(), format!("{}.v2.lease", name.as_str())] {
        let (file, elsewhere) = (Path::new(&dir).join(file), home.path().join("elsewhere"));
        fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        let store = open(&dir);
        assert!(store.lease(&name, LeaseNumber(0), TTL).await.is_err(), "{file:?}");
        fs::rename(&elsewhere, &file).unwrap();
    }

    // A link in the place of the temporary file is removed, not followed.
    let target = home.path().join("target");
    fs::write(&target, "untouched").unwrap();
    symlink(&target, Path::new(&dir).join(format!("{}.v2.new", name.as_str()))).unwrap();
    let store = open(&dir);
    let known = store.load(&name).await.unwrap().revision;
    let lease = granted(&store, &name, known).await;
    assert!(store.save(&name, lease, update(Some("new"), None)).await.unwrap());
    assert_eq!(fs::read_to_string(target).unwrap(), "untouched");
}

#[tokio::test]
async fn p9_a_broken_file_counts_as_missing_and_is_replaced() {
    let (_home, dir) = new_dir();
    let name = name(&dir).await;
    let entry = Path::new(&dir).join(format!("{}.v2.json", name.as_str()));
    let whole = fs::read_to_string(&entry).unwrap();
    let later = whole.replace("\"saved\"", "\"unknown\"");
    for broken in ["", "{", "null", "[]", &whole[..whole.len() / 2], &later, &" ".repeat(2 << 20)] {
        fs::write(&entry, broken).unwrap();
        let script = Script::new([ScriptedResponse::token("again", 1000)]);
        assert_eq!(process(&script, &dir).token().await.unwrap().expose(), "again");
        assert_eq!(process(&script, &dir).token().await.unwrap().expose(), "again", "from the file");
    }
}

#[tokio::test]
async fn p3_only_its_holder_ends_a_lease_and_it_ends_with_its_holder() {
    let (_home, dir) = new_dir();
    let name = name(&dir).await;
    let (first, second) = (open(&dir), open(&dir));
    let known = first.load(&name).await.unwrap().revision;
    let lease = granted(&first, &name, known).await;
    assert!(matches!(second.lease(&name, known, TTL).await.unwrap().0, LeaseOutcome::Held(_)));
    assert!(
        matches!(first.lease(&name, known, TTL).await.unwrap().0, LeaseOutcome::Held(_)),
        "a lease belongs to one flight, not to the process"
    );
    second.release(&name, lease).await.unwrap();
    first.release(&name, LeaseNumber(lease.0 + 1)).await.unwrap();
    assert!(matches!(second.lease(&name, known, TTL).await.unwrap().0, LeaseOutcome::Held(_)));
    drop(first);
    granted(&second, &name, known).await;
}

#[tokio::test]
async fn p5_only_the_holder_of_a_lease_changes_an_entry() {
    let (_home, dir) = new_dir();
    let (name, store) = (name(&dir).await, open(&dir));
    let known = store.load(&name).await.unwrap().revision;
    let late = granted(&store, &name, known).await;
    store.release(&name, late).await.unwrap();
    let lease = granted(&store, &name, known).await;
    assert!(lease > late, "each lease has a higher number");
    assert!(store.save(&name, lease, update(Some("new"), Some("refresh"))).await.unwrap());
    assert!(!store.save(&name, late, update(Some("old"), None)).await.unwrap());
    assert!(store.claim_refresh(&name, late).await.unwrap().is_none());
    assert!(store.claim_refresh(&name, lease).await.unwrap().is_none(), "the save has ended the lease");

    let next = granted(&store, &name, lease).await;
    assert_eq!(store.claim_refresh(&name, next).await.unwrap().unwrap().expose(), "refresh");
    assert!(store.claim_refresh(&name, next).await.unwrap().is_none(), "a refresh token is claimed once");
    assert!(!open(&dir).load(&name).await.unwrap().has_refresh, "the refresh token is removed from the disk");
}

#[tokio::test]
async fn p8_a_late_forget_removes_nothing() {
    let (_home, dir) = new_dir();
    let (name, store) = (name(&dir).await, open(&dir));
    let old = store.load(&name).await.unwrap();
    let lease = granted(&store, &name, old.revision).await;
    store.save(&name, lease, update(Some("new"), None)).await.unwrap();
    store.forget(&name, old.saved).await.unwrap();
    assert!(store.load(&name).await.unwrap().access.is_some());
    store.forget(&name, lease).await.unwrap();
    assert!(store.load(&name).await.unwrap().access.is_none());
}

#[tokio::test]
async fn p6_sealed_files_contain_neither_token_nor_password() {
    let (_home, dir) = new_dir();
    let script = Script::new([ScriptedResponse::token("sentinel-token", 1000)]);
    for _process in 0..2 {
        let store = FileStore::builder().with_dir(&dir).with_keys(KEY).build().unwrap();
        let tokens = manager("sentinel-password", &script, store);
        assert_eq!(tokens.token().await.unwrap().expose(), "sentinel-token");
    }
    for file in files(&dir) {
        let text = fs::read_to_string(Path::new(&dir).join(&file)).unwrap();
        assert!(!text.contains("sentinel") && !file.contains("sentinel"), "{file}");
    }
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test]
async fn expired_entries_are_removed_once_an_hour() {
    let (_home, dir) = new_dir();
    let (name, store) = (name(&dir).await, open(&dir));
    let known = store.load(&name).await.unwrap().revision;
    let expired = EntryName::parse(&"0".repeat(32)).unwrap();
    let lease = granted(&store, &expired, LeaseNumber(0)).await;
    store.save(&expired, lease, EntryUpdate::new(Duration::ZERO)).await.unwrap();
    std::thread::sleep(Duration::from_millis(5));
    let lock = File::options().write(true).open(Path::new(&dir).join("lock")).unwrap();
    lock.set_modified(SystemTime::now() - Duration::from_secs(3601)).unwrap();
    let lease = granted(&store, &name, known).await;
    store.save(&name, lease, update(Some("new"), None)).await.unwrap();
    assert!(files(&dir).iter().all(|file| !file.starts_with("0000")), "{:?}", files(&dir));

    store.clear().unwrap();
    assert_eq!(files(&dir), ["lock"]);
    fs::remove_dir_all(&dir).unwrap();
    granted(&store, &name, LeaseNumber(0)).await;
}

#[test]
fn errors_name_the_wrong_setting() {
    let error = FileStore::builder().build().unwrap_err();
    assert!(error.to_string().contains("`dir` (environment: AUTH_CACHE_DIR)"), "{error}");
    let (home, dir) = new_dir();
    let with = || FileStore::builder().with_dir(&dir);
    for (builder, setting) in [
        (with().with_keys("short"), "keys"),
        (with().with_keys(""), "keys"),
        (with().with_keys(format!("0:{KEY}")), "keys"),
        (with().with_keys(format!("{KEY},1:{KEY}")), "keys"),
        (with().with_keys_file("/nowhere/at/all"), "keys_file"),
        (with().with_keys(KEY).with_keys_file("/nowhere"), "keys"),
        (FileStore::builder().with_dir("/proc/nowhere"), "dir"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Misconfigured, Some(setting)), "{error}");
    }
    let file = home.path().join("keys");
    fs::write(&file, format!("2:{KEY}\n1:{KEY}\n")).unwrap();
    with().with_keys_file(file).build().unwrap();
}

/// A process that was stopped (Ctrl-Z) during its login keeps the lock. So may a runtime that was shut down.
#[tokio::test]
async fn p3_a_stopped_holder_delays_others_until_its_lease_expires() {
    let (_home, dir) = new_dir();
    let name = name(&dir).await;
    let (stopped, other) = (open(&dir), open(&dir));
    let known = stopped.load(&name).await.unwrap().revision;
    let short = Duration::from_millis(300);
    let LeaseOutcome::Granted(late) = stopped.lease(&name, known, short).await.unwrap().0 else { panic!("free") };
    let LeaseOutcome::Held(left) = other.lease(&name, known, TTL).await.unwrap().0 else { panic!("held") };
    assert!(left <= short);
    tokio::time::sleep(left + Duration::from_millis(20)).await;
    let lease = granted(&other, &name, known).await;
    assert!(lease > late);
    assert!(!stopped.save(&name, late, update(Some("old"), None)).await.unwrap());
    assert!(
        matches!(stopped.lease(&name, known, TTL).await.unwrap().0, LeaseOutcome::Held(_)),
        "the stopped process does not get the lease that the other one holds"
    );
    assert!(other.save(&name, lease, update(Some("new"), Some("refresh"))).await.unwrap());
    assert!(stopped.claim_refresh(&name, late).await.unwrap().is_none());
    assert!(other.load(&name).await.unwrap().has_refresh);
}

#[tokio::test]
async fn an_entry_from_a_clock_that_was_ahead_is_replaced() {
    let (_home, dir) = new_dir();
    let name = name(&dir).await;
    // The entry as written by a machine whose clock is two days ahead. Then the clock is corrected.
    let path = Path::new(&dir).join(format!("{}.v2.json", name.as_str()));
    let mut json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for (field, day) in [
        ("lease_number", 86_400_000_000),
        ("revision", 86_400_000_000),
        ("saved", 86_400_000_000),
        ("until_ms", 86_400_000),
    ] {
        json[field] = (json[field].as_u64().unwrap() + 2 * day).into();
    }
    json["access"] = serde_json::Value::Null;
    fs::write(&path, json.to_string()).unwrap();
    let script = Script::default().then_always(ScriptedResponse::token("one", 1000));
    for _ in 0..5 {
        process(&script, &dir).token().await.unwrap();
    }
    assert_eq!(script.requests().len(), 1, "one login for all five processes");
}

#[tokio::test]
async fn p9_clear_removes_the_temporary_file_of_a_killed_process() {
    let (_home, dir) = new_dir();
    let name = name(&dir).await;
    let file = |extension: &str| Path::new(&dir).join(format!("{}.v2.{extension}", name.as_str()));
    fs::copy(file("json"), file("new")).unwrap();
    open(&dir).clear().unwrap();
    assert_eq!(files(&dir), ["lock"]);
}

#[tokio::test]
async fn p9_clear_removes_files_with_wrong_permissions() {
    let (_home, dir) = new_dir();
    let name = name(&dir).await;
    let file = |extension: &str| Path::new(&dir).join(format!("{}.v2.{extension}", name.as_str()));
    fs::set_permissions(file("json"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(file("lease"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(open(&dir).load(&name).await.is_err());
    open(&dir).clear().unwrap();
    assert_eq!(files(&dir), ["lock"]);
    open(&dir).probe().unwrap();
    assert_eq!(files(&dir), ["lock"]);
}

#[tokio::test]
async fn remove_removes_one_entry_and_no_other() {
    let (_home, dir) = new_dir();
    let (first, store) = (name(&dir).await, open(&dir));
    let script = Script::new([ScriptedResponse::token("other", 1000)]);
    manager("another password", &script, open(&dir)).token().await.unwrap();
    let sealing = store.sealing();
    let identity = auth_core::Provider::identity(&TestProvider::new("password")).unwrap();
    assert_eq!(sealing.entry_name("test", &identity), first, "the name that the manager uses");

    fs::copy(
        Path::new(&dir).join(format!("{}.v2.json", first.as_str())),
        Path::new(&dir).join(format!("{}.v2.new", first.as_str())),
    )
    .unwrap();
    store.remove(&first).unwrap();
    assert!(store.load(&first).await.unwrap().access.is_none());
    assert_eq!(files(&dir).len(), 3, "the other entry, its lease file and the lock: {:?}", files(&dir));
    store.remove(&first).unwrap();
}

#[tokio::test]
async fn a_bad_file_of_another_entry_does_not_fail_a_save() {
    let (_home, dir) = new_dir();
    let (name, store) = (name(&dir).await, open(&dir));
    let bad = Path::new(&dir).join(format!("{}.v2.lease", "0".repeat(32)));
    fs::write(&bad, "").unwrap();
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o644)).unwrap();
    let lock = File::options().write(true).open(Path::new(&dir).join("lock")).unwrap();
    lock.set_modified(SystemTime::now() - Duration::from_secs(3601)).unwrap();
    let lease = granted(&store, &name, store.load(&name).await.unwrap().revision).await;
    assert!(store.save(&name, lease, update(Some("a"), Some("refresh"))).await.unwrap());
    let lease = granted(&store, &name, lease).await;
    assert_eq!(store.claim_refresh(&name, lease).await.unwrap().unwrap().expose(), "refresh");
}

#[tokio::test]
async fn a_named_pipe_is_refused_without_waiting() {
    let (_home, dir) = new_dir();
    let name = name(&dir).await;
    let path = Path::new(&dir).join(format!("{}.v2.json", name.as_str()));
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().unwrap().success());
    open(&dir).load(&name).await.unwrap_err();
}

#[tokio::test]
async fn an_absurd_lifetime_is_accepted_and_limited() {
    let (_home, dir) = new_dir();
    let (name, store) = (name(&dir).await, open(&dir));
    let lease = granted(&store, &name, store.load(&name).await.unwrap().revision).await;
    assert!(store.save(&name, lease, EntryUpdate::new(Duration::from_secs(u64::MAX))).await.unwrap());
}
