//! Checks the model in every order of events, within bounds that a machine can check in seconds.

use lease_model::Bounds;
use stateright::{Checker, Model};

fn check(bounds: Bounds) {
    let checker = bounds.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn two_processes_with_every_kind_of_event() {
    check(Bounds {
        processes: 2,
        logins: 3,
        kills: 1,
        store_timeouts: 1,
        lost_responses: 1,
        rejections: 1,
        lease_expiries: 1,
    });
}

#[test]
fn two_processes_with_two_store_timeouts_and_two_lease_expiries() {
    check(Bounds {
        processes: 2,
        logins: 3,
        kills: 1,
        store_timeouts: 2,
        lost_responses: 0,
        rejections: 0,
        lease_expiries: 2,
    });
}

#[test]
fn three_processes_with_a_kill_and_a_store_timeout() {
    check(Bounds {
        processes: 3,
        logins: 3,
        kills: 1,
        store_timeouts: 1,
        lost_responses: 0,
        rejections: 0,
        lease_expiries: 1,
    });
}
