//! Events of a model whose versions do not serve yet.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::lifecycle::{
    Candidate, Followed, Proof, Reason,
    version_harness::{
        CopyVerdict, Effect, Outcome, VersionEvent,
        tests::{candidate, moment, snapshot},
    },
};

const RULES: RemovalRules =
    RemovalRules { grace: std::time::Duration::from_mins(1), keeps: false, may_return: false };

fn one() -> ModelVersion {
    ModelVersion::new(1)
}

fn found() -> BTreeMap<ModelVersion, Candidate> {
    BTreeMap::from([(one(), candidate())])
}

/// A model whose only version is being proven, as job 1.
fn being_proven(at: Moment) -> ManagedModel {
    let mut model = ManagedModel::default();
    assert!(matches!(model.reconcile(found(), RULES, at)[..], [(_, Effect::Hash(_))]));
    assert!(matches!(model.on(one(), VersionEvent::ProofDue, at)[..], [(_, Effect::Copy(_, None))]));
    let outcome = model.copied(one(), snapshot("one"), || None);
    assert!(matches!(finish(&mut model, outcome, at)[..], [(_, Effect::Prove(..))]));
    model
}

/// A model whose only version is proven.
fn proven(at: Moment) -> ManagedModel {
    let mut model = being_proven(at);
    let outcome = model.proven(one(), snapshot("one"), Proof::of_nothing());
    assert!(finish(&mut model, outcome, at).is_empty());
    assert_eq!(model.next_action(Preserve::Availability, at), Some(Action::Load(one())));
    model
}

/// The gateway is ready once no model is unsettled or busy. A file that settles between two evaluations counts.
#[test]
fn a_model_is_unsettled_until_its_file_is_tried() {
    let at = moment();
    let mut model = ManagedModel::default();
    model.reconcile(found(), RULES, at);
    let outcome = Outcome::Hashed(snapshot("one").files_digest());
    assert!(finish(&mut model, outcome, at).is_empty());
    let settled = Moment { now: at.now + at.times.settle, ..at };
    for moment in [at, settled] {
        assert!(model.is_unsettled(moment));
    }
    assert_eq!(model.next_action(Preserve::Availability, at), None);
    assert_eq!(model.next_action(Preserve::Availability, settled), Some(Action::Prove(one())));
    model.on(one(), VersionEvent::ProofDue, settled);
    assert!(!model.is_unsettled(settled));
}

fn finish(model: &mut ManagedModel, outcome: Outcome, at: Moment) -> Effects {
    model.on(one(), VersionEvent::Queued(1), at);
    model.on(one(), VersionEvent::Finished { job: 1, duration_ms: 1, outcome }, at)
}

fn is_refused(model: &ManagedModel, content: &str) -> bool {
    let outcome = model.copied(one(), snapshot(content), || None);
    matches!(outcome, Outcome::Copied { verdict: CopyVerdict::Refused(_), .. })
}

#[test]
fn a_failed_content_is_not_proven_again_until_it_is_forgotten() {
    let at = moment();
    let mut model = being_proven(at);
    let refusal = Refusal::new(Reason::RunFailed, "as in a test");
    let effects = finish(&mut model, Outcome::Disproven { snapshot: snapshot("one"), refusal }, at);
    assert!(matches!(
        effects[..],
        [(_, Effect::Evaluate), (_, Effect::Sweep), (_, Effect::ReportRefusal { .. })]
    ));
    assert!(is_refused(&model, "one") && !is_refused(&model, "two"));
    model.forget_refusals(at);
    assert!(!is_refused(&model, "one"));
}

#[test]
fn a_failure_that_says_nothing_about_the_content_is_not_remembered() {
    let at = moment();
    let mut model = being_proven(at);
    let refusal = Refusal::new(Reason::ProofFailed, "as in a test");
    finish(&mut model, Outcome::Disproven { snapshot: snapshot("one"), refusal }, at);
    assert!(!is_refused(&model, "one"));
}

#[test]
fn a_proof_of_another_gateway_saves_one() {
    let model = ManagedModel::default();
    let outcome = model.copied(one(), snapshot("one"), || Some(Proof::of_nothing()));
    assert!(matches!(outcome, Outcome::Copied { verdict: CopyVerdict::Proven(_, None), .. }));
}

#[test]
fn a_proven_version_is_loaded_unless_another_gateway_decided_otherwise() {
    let at = moment();
    let mut model = proven(at);
    assert!(matches!(model.on(one(), VersionEvent::LoadDue, at)[..], [(_, Effect::Load(_))]));

    let rolled_back = BTreeSet::from([snapshot("one").files_digest()]);
    let mut model = proven(at);
    model.follow(&Followed { taken_back: rolled_back, ..Followed::default() }, 1, at);
    let effects = model.on(one(), VersionEvent::LoadDue, at);
    assert!(effects.iter().any(|(_, effect)| matches!(effect, Effect::ReportRefusal { refusal, .. }
        if refusal.reason == Reason::RolledBack)));
    assert!(!effects.iter().any(|(_, effect)| matches!(effect, Effect::Load(_))));
    assert!(is_refused(&model, "one"));

    let mut model = proven(at);
    model.follow(&Followed { unloaded: Some(true), ..Followed::default() }, 1, at);
    assert!(matches!(model.on(one(), VersionEvent::LoadDue, at)[..], [(_, Effect::Sweep)]));
    assert!(model.unloaded);
}

#[test]
fn a_version_out_of_service_goes_with_its_file() {
    let at = moment();
    let mut model = being_proven(at);
    assert!(model.reconcile(BTreeMap::new(), RULES, at).is_empty());
    assert!(!model.has_versions());
    let outcome = model.proven(one(), snapshot("one"), Proof::of_nothing());
    assert!(finish(&mut model, outcome, at).is_empty());
    assert_eq!(model.next_action(Preserve::Availability, at), None);
}

#[test]
fn a_proven_version_that_the_policy_does_not_choose_is_released() {
    let at = moment();
    let mut model = proven(at);
    assert!(model.drop_unwanted(at).is_empty());
    model.unload_by_request(1, at);
    assert!(matches!(model.drop_unwanted(at)[..], [(_, Effect::Sweep)]));
}
