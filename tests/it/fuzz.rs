//! The fuzz targets, for a bounded number of inputs. cargo-fuzz runs the same functions for as long as it may.

use std::{env, fs};

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestCaseError, TestRunner},
};

use crate::support::{repository::source_tree, table};

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use targets::TARGETS;

/// Inputs of each target. `FUZZ_CASES` asks for more.
const CASES: u32 = 1500;

/// A change to an input.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
    /// Goes on with the rest of another seed.
    Splice(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    // Characters that mean something to the readers.
    let sign = prop::sample::select(&b"\0\x01\x7f\x80\xff \t\r\n\"\\{}[]:,.-+eE0123456789=/_~"[..]);
    let byte = prop_oneof![sign.clone(), any::<u8>()];
    let bytes = prop::collection::vec(prop_oneof![sign, any::<u8>()], 1..6);
    prop_oneof![
        (any::<Index>(), byte).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<Index>(), bytes).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), 1..9_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (any::<Index>(), 1..33_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        any::<Index>().prop_map(Change::Cut),
        (any::<Index>(), any::<Index>()).prop_map(|(at, other)| Change::Splice(at, other)),
    ]
}

fn changed(mut data: Vec<u8>, change: &Change, seeds: &[Vec<u8>]) -> Vec<u8> {
    let place = |at: &Index, data: &[u8]| at.index(data.len() + 1);
    let end = |begin: usize, count: usize, data: &[u8]| (begin + count).min(data.len());
    let size = data.len();
    match change {
        Change::Set(at, byte) if size > 0 => data[at.index(size)] = *byte,
        Change::Flip(at, bit) if size > 0 => data[at.index(size)] ^= 1 << bit,
        Change::Set(..) | Change::Flip(..) => {}
        Change::Insert(at, bytes) => {
            let at = place(at, &data);
            data.splice(at..at, bytes.iter().copied());
        }
        Change::Remove(at, count) => {
            let at = place(at, &data);
            data.drain(at..end(at, *count, &data));
        }
        Change::Repeat(at, count) => {
            let at = place(at, &data);
            let part = data[at..end(at, *count, &data)].to_vec();
            data.splice(at..at, part);
        }
        Change::Cut(at) => data.truncate(place(at, &data)),
        Change::Splice(at, other) => {
            let other = &seeds[other.index(seeds.len())];
            let at = place(at, &data);
            data.truncate(at);
            data.extend(other.iter().skip(at));
        }
    }
    data
}

/// Inputs: seeds with some changes, and bytes without a meaning.
fn inputs(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let of_seed = (any::<Index>(), prop::collection::vec(change(), 0..5)).prop_map(move |(seed, changes)| {
        let data = seeds[seed.index(seeds.len())].clone();
        changes.iter().fold(data, |data, change| changed(data, change, &seeds))
    });
    prop_oneof![9 => of_seed, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

#[test]
fn no_input_breaks_the_promise_of_a_reader() {
    let cases = env::var("FUZZ_CASES").ok().map_or(CASES, |cases| cases.parse().unwrap());
    table::each(TARGETS, |(name, run, seeds)| {
        let seeds = seeds();
        for seed in &seeds {
            run(seed);
        }
        let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
        let outcome = TestRunner::new(config).run(&inputs(seeds), |data| {
            let caught = std::panic::catch_unwind(|| run(&data));
            caught.map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                TestCaseError::fail(text.unwrap_or_default())
            })
        });
        assert!(outcome.is_ok(), "{name}: {}", outcome.unwrap_err());
    });
}

#[test]
fn every_target_has_a_program_for_cargo_fuzz() {
    let manifest = fs::read_to_string(source_tree().join("fuzz/Cargo.toml")).unwrap();
    for (name, ..) in TARGETS {
        let path = format!("fuzz_targets/{name}.rs");
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"{path}\"")), "{name}");
        let program = fs::read_to_string(source_tree().join("fuzz").join(path)).unwrap();
        assert!(program.contains(&format!("onnx_gateway_fuzz::{name}::run(data)")), "{program}");
    }
    let programs = fs::read_dir(source_tree().join("fuzz/fuzz_targets")).unwrap().count();
    assert_eq!(programs, TARGETS.len());
}
