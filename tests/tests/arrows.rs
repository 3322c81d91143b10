//! The arrows between the crates point only down, and the graph has what it must not have in
//! no place.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The crates and the crates of the project that each may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("tripline-event", &[]),
    ("tripline-config", &["tripline-event"]),
    ("tripline-cloud", &["tripline-config"]),
    ("tripline-kafka", &["tripline-config"]),
    ("tripline-nats", &["tripline-config"]),
    ("tripline-bus", &["tripline-event", "tripline-nats"]),
    ("tripline-sensors", &["tripline-event", "tripline-config"]),
    ("tripline-schedules", &["tripline-event", "tripline-config"]),
    (
        "tripline-triggers",
        &[
            "tripline-event",
            "tripline-config",
            "tripline-cloud",
            "tripline-kafka",
            "tripline-nats",
            "tripline-bus",
        ],
    ),
    (
        "tripline-eventsources",
        &[
            "tripline-event",
            "tripline-config",
            "tripline-cloud",
            "tripline-kafka",
            "tripline-nats",
            "tripline-schedules",
        ],
    ),
    ("tripline-testbed", &[]),
    (
        "tripline",
        &[
            "tripline-event",
            "tripline-config",
            "tripline-cloud",
            "tripline-bus",
            "tripline-sensors",
            "tripline-schedules",
            "tripline-triggers",
            "tripline-eventsources",
        ],
    ),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The names of the crates that `package` depends on, other than for its own tests.
fn dependencies(package: &Value) -> BTreeSet<&str> {
    let normal = |dependency: &&Value| text(&dependency["kind"]) != "dev";
    each(&package["dependencies"])
        .filter(normal)
        .map(|dependency| text(&dependency["name"]))
        .collect()
}

/// The members of the workspace, by name.
fn members(metadata: &Value) -> BTreeMap<&str, &Value> {
    let members: BTreeSet<&str> = each(&metadata["workspace_members"]).map(text).collect();
    let packages =
        each(&metadata["packages"]).filter(|package| members.contains(text(&package["id"])));
    packages.map(|package| (text(&package["name"]), package)).collect()
}

#[test]
fn a_crate_depends_only_on_those_below_it() {
    let metadata = metadata();
    let members = members(&metadata);
    for (name, package) in &members {
        // The tests join everything.
        if *name == "tripline-tests" {
            continue;
        }
        let arrows = ARROWS.iter().find(|(known, _)| known == name);
        let (_, allowed) = arrows.unwrap_or_else(|| panic!("{name} has no place among the arrows"));
        let own: BTreeSet<&str> =
            dependencies(package).into_iter().filter(|name| members.contains_key(name)).collect();
        let wrong: Vec<_> = own.iter().filter(|name| !allowed.contains(name)).collect();
        assert!(wrong.is_empty(), "{name} depends on {wrong:?}");
    }
    for (name, _) in ARROWS {
        assert!(members.contains_key(name), "there is no crate {name}");
    }
}

#[test]
fn what_is_pure_has_no_runtime_and_no_client() {
    let metadata = metadata();
    let members = members(&metadata);
    for name in ["tripline-sensors", "tripline-schedules", "tripline-event"] {
        let dependencies = dependencies(members[name]);
        for forbidden in ["tokio", "tokio-util", "futures-util", "reqwest", "hyper", "axum", "heed"]
        {
            assert!(!dependencies.contains(forbidden), "{name} depends on {forbidden}");
        }
    }
    assert!(dependencies(members["tripline-bus"]).contains("tokio"), "what is there is seen");
}

#[test]
fn json_has_sorted_keys_and_go_s_numbers() {
    let metadata = metadata();
    let nodes = each(&metadata["resolve"]["nodes"]);
    let mut found = 0;
    for node in nodes.filter(|node| text(&node["id"]).contains("#serde_json@")) {
        let features: BTreeSet<&str> = each(&node["features"]).map(text).collect();
        assert!(features.contains("raw_value"), "{features:?}");
        for forbidden in ["preserve_order", "arbitrary_precision"] {
            assert!(!features.contains(forbidden), "serde_json has the feature {forbidden}");
        }
        found += 1;
    }
    assert_eq!(found, 1);
}

#[test]
fn there_is_one_provider_of_cryptography() {
    let metadata = metadata();
    let nodes = each(&metadata["resolve"]["nodes"]).map(|node| text(&node["id"]));
    let names: BTreeSet<&str> = nodes
        .filter_map(|id| {
            id.rsplit_once('#').map(|(_, name)| name.split('@').next().unwrap_or(name))
        })
        .collect();
    assert!(names.contains("ring"));
    for forbidden in ["aws-lc-sys", "aws-lc-rs", "openssl-sys", "native-tls"] {
        assert!(!names.contains(forbidden), "{forbidden} is in the graph");
    }
}
