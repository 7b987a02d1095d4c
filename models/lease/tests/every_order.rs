//! Every order of events within bounds that a machine can go through in seconds.

use lease_model::Bounds;
use stateright::{Checker, Model};

fn check(bounds: Bounds) {
    let checker = bounds.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn two_processes_and_everything_that_can_happen() {
    check(Bounds { processes: 2, logins: 3, kills: 1, delays: 1, lost_logins: 1, rejections: 1, lease_ends: 1 });
}

#[test]
fn two_processes_of_which_one_is_slow_twice() {
    check(Bounds { processes: 2, logins: 3, kills: 1, delays: 2, lost_logins: 0, rejections: 0, lease_ends: 2 });
}

#[test]
fn three_processes() {
    check(Bounds { processes: 3, logins: 3, kills: 1, delays: 1, lost_logins: 0, rejections: 0, lease_ends: 1 });
}
