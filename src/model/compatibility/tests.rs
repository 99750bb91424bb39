use super::*;
use crate::model::{Dimension, ElementType, Feature, Missing, NonFiniteOutputs, ValueKind, ValueSpec};

fn open(name: &str) -> Dimension {
    Dimension::Dynamic(name.to_owned())
}

fn matrix(name: &str, columns: usize) -> ValueSpec {
    ValueSpec::tensor(name, ElementType::F32, vec![open("N"), Dimension::Fixed(columns)])
}

fn label() -> ValueSpec {
    ValueSpec::tensor("label", ElementType::I64, vec![open("N")])
}

fn signature(inputs: Vec<ValueSpec>, outputs: Vec<ValueSpec>) -> Signature {
    Signature { inputs, outputs }
}

fn features(names: &[&str]) -> Vec<Feature> {
    names.iter().map(|name| Feature::new(*name)).collect()
}

fn classes(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

type Model = (Signature, Contract);

/// Resolves the contract as that of a file: columns that are inputs are features.
fn model(inputs: Vec<ValueSpec>, outputs: Vec<ValueSpec>, contract: Contract) -> Model {
    let signature = signature(inputs, outputs);
    let layout = Layout::of(&signature, &contract).unwrap();
    let contract = match layout.map(|layout| layout.inputs) {
        Some(crate::model::RowInputs::Columns(columns)) if contract.features.is_empty() => {
            let features = columns.into_iter().map(|column| Feature::new(column.input)).collect();
            Contract::new(features, contract.classes)
        }
        _ => contract,
    };
    (signature, contract)
}

fn interface((signature, contract): &Model) -> Interface<'_> {
    Interface::new(signature, contract, Layout::of(signature, contract).unwrap(), true)
}

fn changes(old: &Model, new: &Model) -> Vec<String> {
    let marked = |change: Change| format!("{}{}", if change.breaks { "!" } else { "" }, change.sentence);
    interface(new).changes_from(&interface(old)).into_iter().map(marked).collect()
}

fn plain(contract: Contract) -> Model {
    model(vec![matrix("x", 2)], vec![matrix("y", 1)], contract)
}

#[test]
fn a_model_is_no_different_from_itself() {
    let named = plain(Contract::new(features(&["a", "b"]), classes(&["no", "yes"])));
    assert!(changes(&named, &named).is_empty());
    let mut renamed = named.clone();
    let shape = vec![open("batch"), Dimension::Fixed(2)];
    renamed.0.inputs[0] = ValueSpec::tensor("x", ElementType::F32, shape);
    assert!(changes(&named, &renamed).is_empty(), "nobody gives a dimension by its name");
}

#[test]
fn what_was_renamed_is_told_once() {
    let old = model(vec![matrix("a", 1), matrix("b", 1)], vec![matrix("y", 1)], Contract::empty());
    let new = model(vec![matrix("a", 1), matrix("c", 1)], vec![matrix("z", 1)], Contract::empty());
    assert_eq!(
        changes(&old, &new),
        ["!input `b` (FP32 [N, 1]) is called `c` now", "!output `y` (FP32 [N, 1]) is called `z` now"]
    );
    let single = |name| {
        let inputs = vec![ValueSpec::tensor(name, ElementType::F32, vec![open("N")])];
        model(inputs, vec![matrix("y", 1)], Contract::new(features(&[name]), Vec::new()))
    };
    assert_eq!(changes(&single("x"), &single("z")), ["!input `x` (FP32 [N]) is called `z` now"]);
    let other = model(vec![matrix("x", 3)], vec![label()], Contract::empty());
    assert_eq!(
        changes(&plain(Contract::empty()), &other),
        [
            "!input `x` was FP32 [N, 2] and is now FP32 [N, 3]",
            "!output `y` (FP32 [N, 1]) is gone",
            "!output `label` (INT64 [N]) is new",
        ]
    );
}

#[test]
fn fewer_columns_and_their_features_are_one_difference() {
    let old = plain(Contract::new(features(&["a", "b"]), Vec::new()));
    let new = model(vec![matrix("x", 1)], vec![matrix("y", 1)], Contract::new(features(&["a"]), Vec::new()));
    assert_eq!(
        changes(&old, &new),
        ["!input `x` was FP32 [N, 2] and is now FP32 [N, 1]: the features [a, b] became [a]"]
    );
    let any = |names: &[&str]| {
        let inputs = vec![ValueSpec::tensor("x", ElementType::F32, vec![open("N"), open("M")])];
        model(inputs, vec![matrix("y", 1)], Contract::new(features(names), Vec::new()))
    };
    assert_eq!(
        changes(&plain(Contract::empty()), &any(&["a", "b", "c"])),
        ["!rows have 3 values now, had 2", "input `x` was FP32 [N, 2] and is now FP32 [N, M]"]
    );
}

#[test]
fn whether_rows_are_taken_is_told_with_what_it_follows_from() {
    let rows = plain(Contract::empty());
    let fixed = |rows| {
        let inputs = vec![ValueSpec::tensor("x", ElementType::F32, vec![rows, Dimension::Fixed(2)])];
        model(inputs, vec![matrix("y", 1)], Contract::empty())
    };
    let tensors = fixed(Dimension::Fixed(1));
    assert_eq!(changes(&tensors, &rows), ["input `x` was FP32 [1, 2] and is now FP32 [N, 2]"]);
    assert_eq!(changes(&rows, &tensors), ["!input `x` was FP32 [N, 2] and is now FP32 [1, 2]"]);
    // A difference that only the proof shows.
    let refused = Interface { layout: None, ..interface(&rows) };
    let reported = refused.changes_from(&interface(&rows));
    assert_eq!(reported[0].sentence, "rows are refused: tensors must be given as `inputs`");
    assert!(reported[0].breaks && reported.len() == 1);
    let reported = interface(&rows).changes_from(&refused);
    assert_eq!(reported, [Change { breaks: false, sentence: "rows are taken now".to_owned() }]);
}

#[test]
fn an_input_beside_the_only_one_must_not_be_overlooked() {
    let optional = |name: &str| ValueSpec {
        name: name.to_owned(),
        kind: ValueKind::Optional(Box::new(ValueKind::Tensor {
            element_type: ElementType::Bool,
            shape: Vec::new(),
        })),
    };
    let old = plain(Contract::empty());
    let new = model(vec![matrix("x", 2), optional("mask")], vec![matrix("y", 1)], Contract::empty());
    assert_eq!(changes(&old, &new), ["!input `mask` (optional BOOL []) is new: `x` must be named now"]);
    assert_eq!(
        changes(&new, &old),
        ["!input `mask` (optional BOOL []) is gone"],
        "rows are taken again, which follows"
    );
}

#[test]
fn dimensions_that_must_be_equal_are_narrower() {
    let two = |first: Dimension, second: Dimension| {
        let input = |name, rows| ValueSpec::tensor(name, ElementType::F32, vec![rows, Dimension::Fixed(2)]);
        model(vec![input("a", first), input("b", second)], vec![matrix("y", 1)], Contract::empty())
    };
    let tied = two(open("N"), open("N"));
    let narrower = |was: &str| {
        format!("!input `b` was FP32 [{was}, 2] and is now FP32 [N, 2]: dimensions called `N` must be equal")
    };
    assert_eq!(changes(&two(open("N"), open("M")), &tied), [narrower("M")]);
    assert_eq!(changes(&two(open("?"), open("?")), &tied), [narrower("?")]);
    assert!(changes(&tied, &two(open("N"), open("M"))).is_empty());
    assert!(changes(&two(open("K"), open("K")), &tied).is_empty());
}

#[test]
fn dimensions_of_outputs_count_where_both_are_fixed() {
    let answers = |shape: Vec<Dimension>| {
        let outputs = vec![ValueSpec::tensor("y", ElementType::F32, shape)];
        model(vec![matrix("x", 2)], outputs, Contract::empty())
    };
    let fixed = answers(vec![open("N"), Dimension::Fixed(3)]);
    let became = |is: &str| format!("output `y` was FP32 [N, 3] and is now FP32 [{is}]");
    for (shape, breaks, is) in [
        (vec![open("N"), Dimension::Fixed(2)], "!", "N, 2"),
        (vec![open("N")], "!", "N"),
        (vec![open("N"), open("C")], "", "N, C"),
        (vec![Dimension::Fixed(1), Dimension::Fixed(3)], "", "1, 3"),
        (Vec::new(), "", ""),
    ] {
        assert_eq!(changes(&fixed, &answers(shape)), [format!("{breaks}{}", became(is))]);
    }
}

#[test]
fn another_place_in_the_answer_is_told_with_what_it_follows_from() {
    let scores = |columns: Dimension, classes: Vec<String>| {
        let scores = ValueSpec::tensor("scores", ElementType::F32, vec![open("N"), columns]);
        model(vec![matrix("x", 2)], vec![label(), scores], Contract::new(Vec::new(), classes))
    };
    let names = || classes(&["a", "b", "c"]);
    let old = scores(Dimension::Fixed(3), names());
    assert_eq!(
        changes(&old, &scores(open("C"), names())),
        ["!output `scores` was FP32 [N, 3] and is now FP32 [N, C]: the output `scores` is not \
          `probabilities` any more"]
    );
    assert_eq!(
        changes(&scores(Dimension::Fixed(3), Vec::new()), &old),
        ["!the classes have names now: a, b, c"],
        "which is why the scores are probabilities now"
    );
    assert_eq!(
        changes(&old, &scores(Dimension::Fixed(2), classes(&["a", "b"]))),
        ["!output `scores` was FP32 [N, 3] and is now FP32 [N, 2]: the classes [a, b, c] became [a, b]"]
    );
    let mut swapped = old.clone();
    swapped.0.outputs.reverse();
    assert_eq!(changes(&old, &swapped), ["!the outputs [label, scores] became [scores, label]"]);
}

#[test]
fn ranges_units_and_missing_values_are_compared_by_feature() {
    let with = |change: &dyn Fn(&mut Feature)| {
        let mut named = features(&["a", "b"]);
        change(&mut named[0]);
        plain(Contract::new(named, Vec::new()))
    };
    let old = with(&|feature| {
        (feature.minimum, feature.maximum) = (Some(0.0), Some(10.0));
        (feature.unit, feature.missing) = (Some("cm".to_owned()), Missing::Default(3.into()));
    });
    let wider = with(&|feature| feature.missing = Missing::Default(3.5.into()));
    assert_eq!(
        changes(&old, &wider),
        [
            "!a missing value of `a` is taken as 3.5, was taken as 3",
            "the feature `a` may be any number, was 0 to 10",
            "the feature `a` is not said to be in cm any more",
        ]
    );
    let unnamed = plain(Contract::empty());
    assert_eq!(
        changes(&unnamed, &with(&|feature| feature.minimum = Some(-0.5))),
        ["!the feature `a` may be at least -0.5, was any number", "the features have names now: a, b"]
    );
    assert_eq!(
        changes(&old, &unnamed),
        [
            "!the features [a, b] have no names any more",
            "!a missing value of `column 0` is refused, was taken as 3",
        ]
    );
    let same = with(&|feature| feature.missing = Missing::Default(3.0.into()));
    let default = with(&|feature| feature.missing = Missing::Default(3.into()));
    assert!(changes(&default, &same).is_empty(), "3 and 3.0 are the same number");
    let everywhere = |missing: &Missing| {
        let feature = |name: &str| Feature { missing: missing.clone(), ..Feature::new(name) };
        plain(Contract::new(vec![feature("a"), feature("b")], Vec::new()))
    };
    assert_eq!(
        changes(&everywhere(&Missing::Nan), &everywhere(&Missing::Refuse)),
        ["!a missing value of [a, b] is refused, was taken as NaN"],
        "one rule for all is one difference"
    );
    let endless = with(&|feature| feature.maximum = Some(f64::INFINITY));
    assert!(changes(&with(&|_| {}), &endless).is_empty(), "no number is above it");
}

#[test]
fn only_numbers_have_ranges_and_only_floats_are_not_finite() {
    let texts = |maximum, non_finite_outputs| {
        let column = |name| ValueSpec::tensor(name, ElementType::String, vec![open("N")]);
        let feature = Feature { maximum, ..Feature::new("x") };
        let mut contract = Contract::new(vec![feature], Vec::new());
        contract.non_finite_outputs = non_finite_outputs;
        model(vec![column("x")], vec![column("y")], contract)
    };
    let (refuse, allow) = (NonFiniteOutputs::Refuse, NonFiniteOutputs::Allow);
    assert!(changes(&texts(None, refuse), &texts(Some(1.0), allow)).is_empty());
    let floats = |non_finite_outputs| {
        let mut contract = Contract::empty();
        contract.non_finite_outputs = non_finite_outputs;
        plain(contract)
    };
    assert_eq!(changes(&floats(allow), &floats(refuse)), ["!NaN and infinity are an error, were returned"]);
}

#[test]
fn long_lists_are_cut_and_no_name_ends_a_line() {
    let many = |name: &dyn Fn(usize) -> String| {
        let features: Vec<Feature> = (0..100).map(|index| Feature::new(name(index))).collect();
        model(vec![matrix("x", 100)], vec![matrix("y", 1)], Contract::new(features, Vec::new()))
    };
    let old = many(&|index| format!("f{index}"));
    let new = many(&|index| if index == 42 { "a\nb".to_owned() } else { format!("f{index}") });
    assert_eq!(changes(&old, &new), ["!the 100 features became 100: at 42, `f42` became `a\\nb`"]);
    let unnamed = model(vec![matrix("x", 100)], vec![matrix("y", 1)], Contract::empty());
    assert!(changes(&old, &unnamed)[0].contains("f15 and 84 more"));
}
