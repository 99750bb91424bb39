use super::*;
use crate::model::{Attribute, Constant, ElementType, Elements};

/// A graph that is built operator by operator.
struct Build {
    graph: Graph,
    inputs: Vec<ValueSpec>,
}

fn build(opset: u64) -> Build {
    let mut graph = Graph { is_complete: true, ..Graph::default() };
    graph.opsets.insert(String::new(), opset);
    Build { graph, inputs: Vec::new() }
}

impl Build {
    /// Adds an input with any number of rows; a size of 0 leaves a dimension open.
    fn input(mut self, name: &str, inner: &[usize]) -> Self {
        let size = |size: &usize| match size {
            0 => Dimension::Dynamic(String::new()),
            size => Dimension::Fixed(*size),
        };
        let rows = Dimension::Dynamic("N".to_owned());
        let shape = std::iter::once(rows).chain(inner.iter().map(size)).collect();
        self.inputs.push(ValueSpec::tensor(name, ElementType::F32, shape));
        self.graph.inputs.push(name.to_owned());
        self
    }

    fn weights(mut self, name: &str, shape: &[u64]) -> Self {
        self.graph.constants.insert(name.to_owned(), Constant { shape: shape.to_vec(), elements: None });
        self
    }

    fn list(mut self, name: &str, numbers: &[i64]) -> Self {
        let shape = vec![numbers.len() as u64];
        let elements = Some(Elements::Integers(numbers.to_vec()));
        self.graph.constants.insert(name.to_owned(), Constant { shape, elements });
        self
    }

    fn scalar(mut self, name: &str, number: i64) -> Self {
        let elements = Some(Elements::Integers(vec![number]));
        self.graph.constants.insert(name.to_owned(), Constant { shape: Vec::new(), elements });
        self
    }

    /// Adds an operator: its name (`domain:Name` for other domains), inputs, outputs and attributes.
    fn node(self, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        self.with(operator, inputs, outputs, &[])
    }

    fn with(
        mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, AttributeValue)],
    ) -> Self {
        let (domain, operator) = operator.split_once(':').unwrap_or(("", operator));
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let attribute = |(name, value): &(&str, AttributeValue)| Attribute {
            name: (*name).to_owned(),
            value: value.clone(),
        };
        self.graph.nodes.push(Node {
            operator: operator.to_owned(),
            domain: domain.to_owned(),
            inputs: names(inputs),
            outputs: names(outputs),
            attributes: attributes.iter().map(attribute).collect(),
        });
        self
    }

    fn outputs(mut self, names: &[&str]) -> RowDependence {
        self.graph.outputs = names.iter().map(|name| (*name).to_owned()).collect();
        let signature = Signature { inputs: self.inputs, outputs: Vec::new() };
        RowDependence::of(&self.graph, &signature)
    }

    fn y(self) -> &'static str {
        match self.outputs(&["y"]) {
            RowDependence::Independent => "independent",
            RowDependence::Coupled { .. } => "coupled",
            RowDependence::Unknown { .. } => "unknown",
        }
    }
}

fn whole(number: i64) -> AttributeValue {
    AttributeValue::Integer(number)
}

fn list(numbers: &[i64]) -> AttributeValue {
    AttributeValue::List(Elements::Integers(numbers.to_vec()))
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::Text(text.to_owned())
}

/// Checks `x` [N, 4] through one operator with these attributes.
fn one(opset: u64, operator: &str, attributes: &[(&str, AttributeValue)]) -> &'static str {
    build(opset).input("x", &[4]).with(operator, &["x"], &["y"], attributes).y()
}

/// Checks `x` [N, 4] through one operator whose second input is a list.
fn with_list(
    opset: u64,
    operator: &str,
    numbers: &[i64],
    attributes: &[(&str, AttributeValue)],
) -> &'static str {
    build(opset).input("x", &[4]).list("l", numbers).with(operator, &["x", "l"], &["y"], attributes).y()
}

#[test]
fn scales_of_all_rows_couple_them_wherever_they_are_taken() {
    let found = build(18)
        .input("x", &[1])
        .node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"])
        .node("DequantizeLinear", &["q", "s", "z"], &["y"])
        .outputs(&["y"]);
    assert_eq!(found.to_string(), "DynamicQuantizeLinear takes its scale from all rows");
    for operator in
        ["com.microsoft:DynamicQuantizeMatMul", "com.microsoft:DynamicQuantizeLSTM", "RandomNormalLike"]
    {
        let mut inside = build(18).input("x", &[1]).node("Relu", &["x"], &["y"]);
        let (domain, name) = operator.split_once(':').unwrap_or(("", operator));
        inside.graph.inner.push(Node {
            operator: name.to_owned(),
            domain: domain.to_owned(),
            ..Node::default()
        });
        assert_eq!(inside.y(), "coupled", "{operator} in a body");
    }
}

#[test]
fn element_by_element_rows_stay_apart() {
    for operator in ["Relu", "Cast", "com.microsoft:FastGelu", "ai.onnx.ml:Scaler", "Identity"] {
        assert_eq!(one(18, operator, &[]), "independent", "{operator}");
    }
    let pair = |constant: &[u64]| {
        build(18).input("x", &[4]).weights("w", constant).node("Add", &["x", "w"], &["y"]).y()
    };
    assert_eq!((pair(&[]), pair(&[4]), pair(&[1, 4])), ("independent", "independent", "independent"));
    assert_eq!(pair(&[7, 1]), "coupled", "a constant for each of seven rows");
    assert_eq!(pair(&[5, 1, 1]), "coupled", "the rows are then in the second dimension of the output");
    let both =
        |inner: &[usize]| build(18).input("x", &[4]).input("z", inner).node("Mul", &["x", "z"], &["y"]).y();
    assert_eq!((both(&[4]), both(&[1]), both(&[])), ("independent", "independent", "coupled"));
    assert_eq!(one(6, "Dropout", &[]), "unknown", "it may be in training");
    assert_eq!(one(18, "NoSuchOperator", &[]), "unknown");
    let found = build(18).input("x", &[1]).node("acme:Relu", &["x"], &["y"]).outputs(&["y"]);
    assert_eq!(found.to_string(), "Relu of domain acme is not known to keep rows apart");
}

#[test]
fn sums_along_the_rows_couple_them() {
    let axes = |numbers: &[i64]| vec![("axes", list(numbers))];
    for operator in ["ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp"] {
        assert_eq!(one(11, operator, &axes(&[1])), "independent", "{operator}");
        assert_eq!(one(11, operator, &axes(&[-1])), "independent", "{operator}");
        assert_eq!(one(11, operator, &axes(&[0])), "coupled", "{operator}");
        assert_eq!(one(11, operator, &axes(&[-2])), "coupled", "{operator}");
        assert_eq!(one(11, operator, &[]), "coupled", "{operator} over everything");
        assert_eq!(with_list(18, operator, &[1], &[]), "independent", "{operator}");
        assert_eq!(with_list(18, operator, &[0], &[]), "coupled", "{operator}");
    }
    assert_eq!(one(18, "ReduceSum", &[("noop_with_empty_axes", whole(1))]), "independent");
    assert_eq!(one(18, "ArgMax", &[]), "coupled", "its dimension is 0 unless it says otherwise");
    assert_eq!(one(18, "ArgMax", &[("axis", whole(1)), ("keepdims", whole(0))]), "independent");
    let computed = build(18).input("x", &[4]).input("a", &[]).node("ReduceSum", &["x", "a"], &["y"]);
    assert_eq!(computed.y(), "unknown");
}

#[test]
fn softmax_takes_one_dimension_or_all_from_one_on_by_the_operator_set() {
    let axis = |axis: i64| vec![("axis", whole(axis))];
    assert_eq!((one(13, "Softmax", &[]), one(11, "Softmax", &[])), ("independent", "independent"));
    assert_eq!((one(13, "Softmax", &axis(0)), one(11, "Softmax", &axis(0))), ("coupled", "coupled"));
    // [N, L, 4] with the rows transposed to the second dimension.
    let turned = |opset| {
        build(opset)
            .input("x", &[3, 4])
            .with("Transpose", &["x"], &["t"], &[("perm", list(&[1, 0, 2]))])
            .with("Softmax", &["t"], &["s"], &[("axis", whole(2))])
            .with("LogSoftmax", &["s"], &["l"], &[("axis", whole(0))])
            .with("Transpose", &["l"], &["y"], &[("perm", list(&[1, 0, 2]))])
            .y()
    };
    assert_eq!((turned(13), turned(11)), ("independent", "coupled"));
    assert_eq!(one(18, "LayerNormalization", &[]), "independent");
    assert_eq!(one(18, "LayerNormalization", &axis(0)), "coupled");
    assert_eq!(one(18, "LpNormalization", &axis(0)), "coupled");
    assert_eq!(one(18, "TopK", &axis(0)), "coupled");
    let cumulated =
        |axis| build(18).input("x", &[4]).scalar("a", axis).node("CumSum", &["x", "a"], &["y"]).y();
    assert_eq!((cumulated(0), cumulated(1), cumulated(-2)), ("coupled", "independent", "coupled"));
    for operator in ["NonZero", "Unique", "Compress", "MeanVarianceNormalization"] {
        assert_eq!(one(18, operator, &[]), "coupled", "{operator}");
    }
}

#[test]
fn products_keep_rows_apart_unless_they_sum_over_them() {
    let by = |shape: &[u64]| {
        build(18).input("x", &[4]).weights("w", shape).node("MatMul", &["x", "w"], &["y"]).y()
    };
    assert_eq!((by(&[4, 2]), by(&[4])), ("independent", "independent"));
    assert_eq!(by(&[3, 4, 2]), "coupled", "the rows are then in the second dimension of the output");
    let turned = |second: &str| {
        build(18)
            .input("x", &[4])
            .node("Transpose", &["x"], &["t"])
            .node("MatMul", &["x", second], &["y"])
            .y()
    };
    assert_eq!(turned("t"), "coupled");
    let transposed =
        build(18).input("x", &[4]).node("Transpose", &["x"], &["t"]).node("MatMul", &["t", "x"], &["y"]);
    assert_eq!(transposed.y(), "coupled");
    let gemm = |attributes: &[(&str, AttributeValue)], bias: &[u64]| {
        build(18)
            .input("x", &[4])
            .weights("w", &[4, 2])
            .weights("b", bias)
            .with("Gemm", &["x", "w", "b"], &["y"], attributes)
            .y()
    };
    assert_eq!(gemm(&[], &[2]), "independent");
    assert_eq!(gemm(&[("transB", whole(1))], &[1, 2]), "independent");
    assert_eq!(gemm(&[("transA", whole(1))], &[2]), "coupled");
    assert_eq!(gemm(&[], &[8, 1]), "coupled", "a bias for each of eight rows");
    let equation = |equation: &str| {
        build(18)
            .input("x", &[4])
            .weights("w", &[4, 2])
            .with("Einsum", &["x", "w"], &["y"], &[("equation", text(equation))])
            .y()
    };
    assert_eq!(
        (equation("ij,jk->ik"), equation("ij,jk->k"), equation("ij,ik->ij")),
        ("independent", "coupled", "coupled")
    );
    assert_eq!(equation("...j,jk->...k"), "unknown");
    let quantized = build(18)
        .input("x", &[4])
        .weights("s", &[])
        .weights("z", &[])
        .weights("w", &[4, 2])
        .node("QuantizeLinear", &["x", "s", "z"], &["q"])
        .node("QLinearMatMul", &["q", "s", "z", "w", "s", "z", "s", "z"], &["p"])
        .node("DequantizeLinear", &["p", "s", "z"], &["y"]);
    assert_eq!(quantized.y(), "independent", "static quantisation");
    let by_hand = build(18)
        .input("x", &[4])
        .node("ReduceMax", &["x"], &["s"])
        .node("QuantizeLinear", &["x", "s"], &["q"])
        .node("DequantizeLinear", &["q", "s"], &["y"]);
    assert_eq!(by_hand.y(), "coupled", "a scale that is computed");
}

#[test]
fn each_row_attends_to_itself() {
    let attention = |softmax_axis: i64| {
        build(18)
            .input("x", &[0, 8])
            .weights("w", &[8, 8])
            .list("heads", &[0, 0, 2, 4])
            .list("back", &[0, 0, 8])
            .node("MatMul", &["x", "w"], &["p"])
            .node("Reshape", &["p", "heads"], &["h"])
            .with("Transpose", &["h"], &["q"], &[("perm", list(&[0, 2, 1, 3]))])
            .with("Transpose", &["h"], &["k"], &[("perm", list(&[0, 2, 3, 1]))])
            .node("MatMul", &["q", "k"], &["s"])
            .with("Softmax", &["s"], &["a"], &[("axis", whole(softmax_axis))])
            .node("MatMul", &["a", "q"], &["o"])
            .with("Transpose", &["o"], &["t"], &[("perm", list(&[0, 2, 1, 3]))])
            .node("Reshape", &["t", "back"], &["r"])
            .node("Add", &["r", "x"], &["y"])
            .y()
    };
    assert_eq!((attention(-1), attention(0)), ("independent", "coupled"));
}

#[test]
fn a_shape_must_keep_the_rows_outermost() {
    let to = |shape: &[i64]| with_list(18, "Reshape", shape, &[]);
    for kept in [&[-1, 2, 2][..], &[0, -1], &[-1, 4], &[0, 2, 2], &[0, 0]] {
        assert_eq!(to(kept), "independent", "{kept:?}");
    }
    assert_eq!(to(&[1, -1]), "coupled", "the rows are then within one line");
    for other in [&[4, -1][..], &[2, 2], &[2, 0, -1]] {
        assert_eq!(to(other), "unknown", "{other:?}");
    }
    let computed = |target: &[&str]| {
        build(18)
            .input("x", &[2, 3])
            .scalar("zero", 0)
            .list("first", &[0])
            .list("rest", &[-1])
            .list("two", &[2])
            .node("Shape", &["x"], &["s"])
            .node("Gather", &["s", "zero"], &["n"])
            .node("Unsqueeze", &["n", "first"], &["rows"])
            .with("Concat", target, &["target"], &[("axis", whole(0))])
            .node("Reshape", &["x", "target"], &["y"])
            .y()
    };
    assert_eq!(computed(&["rows", "rest"]), "independent", "as torch writes a view");
    assert_eq!((computed(&["two", "rest"]), computed(&["rest", "rows"])), ("unknown", "unknown"));
    assert_eq!(
        (one(18, "Flatten", &[]), one(18, "Flatten", &[("axis", whole(0))])),
        ("independent", "coupled")
    );
    assert_eq!(one(18, "Squeeze", &[]), "coupled", "one row loses its dimension, two do not");
    assert_eq!(
        (with_list(18, "Unsqueeze", &[1], &[]), with_list(18, "Unsqueeze", &[0], &[])),
        ("independent", "coupled")
    );
}

#[test]
fn taking_rows_by_their_place_couples_them() {
    let gather = |axis| {
        build(18)
            .input("x", &[4])
            .list("l", &[0, 2])
            .with("Gather", &["x", "l"], &["y"], &[("axis", whole(axis))])
            .y()
    };
    assert_eq!((gather(0), gather(1), gather(-1)), ("coupled", "independent", "independent"));
    let embedding =
        build(18).input("ids", &[0]).weights("table", &[100, 8]).node("Gather", &["table", "ids"], &["y"]);
    assert_eq!(embedding.y(), "independent");
    let by_rows = build(18).input("x", &[4]).input("i", &[1]).with(
        "Gather",
        &["x", "i"],
        &["y"],
        &[("axis", whole(1))],
    );
    assert_eq!(by_rows.y(), "coupled");
    let slice = |starts: &[i64], ends: &[i64], axes: &[i64]| {
        build(18)
            .input("x", &[4])
            .list("s", starts)
            .list("e", ends)
            .list("a", axes)
            .node("Slice", &["x", "s", "e", "a"], &["y"])
            .y()
    };
    assert_eq!((slice(&[0], &[2], &[1]), slice(&[0], &[1], &[0])), ("independent", "coupled"));
    assert_eq!(slice(&[0, 1], &[i64::MAX, 3], &[0, 1]), "independent", "all rows, as torch writes x[:, 1:3]");
    for (operator, axis) in [("Split", 0), ("Concat", 0), ("Pad", 9)] {
        let inputs = if operator == "Concat" { vec!["x", "x"] } else { vec!["x"] };
        let attributes = [("axis", whole(axis)), ("pads", list(&[1, 0, 0, 0]))];
        assert_eq!(
            build(9).input("x", &[4]).with(operator, &inputs, &["y"], &attributes).y(),
            "coupled",
            "{operator}"
        );
    }
    assert_eq!(one(9, "Pad", &[("pads", list(&[0, 1, 0, 1]))]), "independent");
    let scattered = build(18).input("x", &[4]).list("l", &[0]).weights("u", &[1, 4]).node(
        "ScatterND",
        &["x", "l", "u"],
        &["y"],
    );
    assert_eq!(scattered.y(), "coupled");
}

#[test]
fn samples_of_networks_lie_outermost() {
    let conv = build(18).input("x", &[1, 8, 8]).weights("k", &[4, 1, 3, 3]).node("Conv", &["x", "k"], &["c"]);
    let norm = |training: i64| {
        build(18)
            .input("x", &[3, 8])
            .weights("w", &[3])
            .with(
                "BatchNormalization",
                &["x", "w", "w", "w", "w"],
                &["y"],
                &[("training_mode", whole(training))],
            )
            .y()
    };
    assert_eq!(conv.node("GlobalAveragePool", &["c"], &["y"]).y(), "independent");
    assert_eq!((norm(0), norm(1)), ("independent", "coupled"));
    let turned = build(18).input("x", &[8, 8]).weights("k", &[4, 8, 3]).with(
        "Transpose",
        &["x"],
        &["t"],
        &[("perm", list(&[1, 0, 2]))],
    );
    assert_eq!(turned.node("Conv", &["t", "k"], &["y"]).y(), "coupled");
    let lstm = |turns: bool, direction: &str| {
        let start = build(18)
            .input("x", &[0, 2])
            .weights("w", &[1, 12, 2])
            .weights("r", &[1, 12, 3])
            .list("zero", &[0]);
        let steps = if turns { "t" } else { "x" };
        start
            .with("Transpose", &["x"], &["t"], &[("perm", list(&[1, 0, 2]))])
            .with("LSTM", &[steps, "w", "r"], &["all", "last"], &[("direction", text(direction))])
            .node("Squeeze", &["last", "zero"], &["y"])
            .y()
    };
    assert_eq!((lstm(true, "forward"), lstm(false, "forward")), ("independent", "coupled"));
}

#[test]
fn estimators_take_a_sample_in_each_row_of_a_matrix() {
    for operator in [
        "TreeEnsembleRegressor",
        "TreeEnsembleClassifier",
        "LinearClassifier",
        "SVMRegressor",
        "Normalizer",
        "ZipMap",
    ] {
        let operator = format!("ai.onnx.ml:{operator}");
        assert_eq!(one(18, &operator, &[]), "independent", "{operator}");
        let vector = build(18).input("x", &[]).with(&operator, &["x"], &["y"], &[]);
        assert_eq!(vector.y(), "coupled", "{operator} of one vector is one sample");
    }
    let label = build(18)
        .input("x", &[4])
        .weights("classes", &[3])
        .list("flat", &[-1])
        .with("ArgMax", &["x"], &["best"], &[("axis", whole(1))])
        .node("ai.onnx.ml:ArrayFeatureExtractor", &["classes", "best"], &["found"])
        .node("Reshape", &["found", "flat"], &["y"]);
    assert_eq!(label.y(), "independent", "as skl2onnx looks up a class");
    let column = build(18).input("x", &[4]).list("l", &[2]).node(
        "ai.onnx.ml:ArrayFeatureExtractor",
        &["x", "l"],
        &["y"],
    );
    assert_eq!(column.y(), "independent");
    let vector = build(18).input("x", &[]).list("l", &[0]).node(
        "ai.onnx.ml:ArrayFeatureExtractor",
        &["x", "l"],
        &["y"],
    );
    assert_eq!(vector.y(), "coupled");
}

#[test]
fn texts_are_counted_without_what_fills_them_up() {
    let words = |filling: &str, stopwords: &[&str]| {
        let texts = |list: &[&str]| {
            AttributeValue::List(Elements::Texts(list.iter().map(|text| (*text).to_owned()).collect()))
        };
        build(18)
            .input("x", &[1])
            .list("flat", &[-1])
            .node("Reshape", &["x", "flat"], &["f"])
            .with("StringNormalizer", &["f"], &["n"], &[("stopwords", texts(stopwords))])
            .with("com.microsoft:Tokenizer", &["n"], &["t"], &[("pad_value", text(filling))])
            .node("Flatten", &["t"], &["w"])
            .with("TfIdfVectorizer", &["w"], &["y"], &[("pool_strings", texts(&["good", "bad"]))])
            .y()
    };
    assert_eq!(
        (words("#", &[]), words("bad", &[]), words("#", &["the"])),
        ("independent", "coupled", "coupled")
    );
    let tokens = build(18).input("x", &[]).with(
        "com.microsoft:Tokenizer",
        &["x"],
        &["y"],
        &[("pad_value", text("#"))],
    );
    assert_eq!(tokens.y(), "coupled", "each row is as long as the longest");
}

#[test]
fn bodies_are_not_looked_into() {
    let body = |operator: &str| {
        let mut build =
            build(18).input("x", &[4]).with(operator, &["x"], &["y"], &[("body", AttributeValue::Body)]);
        build.graph.outputs = vec!["y".to_owned()];
        let signature = Signature { inputs: build.inputs, outputs: Vec::new() };
        RowDependence::of(&build.graph, &signature).to_string()
    };
    assert_eq!(body("Loop"), "Loop has a body, which is not analysed");
    assert_eq!(body("Scan"), "Scan has a body, which is not analysed");
    let expanded = build(18).input("x", &[4]).weights("c", &[1, 4]).node("Shape", &["x"], &["s"]).node(
        "Expand",
        &["c", "s"],
        &["e"],
    );
    assert_eq!(expanded.node("Add", &["e", "x"], &["y"]).y(), "independent", "a constant for each row");
}

#[test]
fn what_counts_rows_or_does_not_come_from_them_is_told_apart() {
    let counted = build(18).input("x", &[4]).node("Size", &["x"], &["n"]).node("Cast", &["n"], &["f"]);
    assert_eq!(counted.node("Div", &["x", "f"], &["y"]).y(), "unknown");
    let found = build(18).input("x", &[4]).weights("w", &[3]).node("Relu", &["x"], &["y"]).node(
        "Identity",
        &["w"],
        &["c"],
    );
    assert_eq!(found.outputs(&["y", "c"]), RowDependence::Independent, "a buffer beside it");
    let turned = build(18).input("x", &[4]).node("Transpose", &["x"], &["y"]).outputs(&["y"]);
    assert_eq!(turned.to_string(), "Output y has the rows in dimension 1");
    let mut fixed = build(18).node("Relu", &["x"], &["y"]);
    fixed.inputs.push(ValueSpec::tensor(
        "x",
        ElementType::F32,
        vec![Dimension::Fixed(1), Dimension::Fixed(4)],
    ));
    assert_eq!(fixed.y(), "unknown");
    let incomplete = build(18).input("x", &[4]).node("Relu", &["x"], &["y"]);
    let mut graph = incomplete.graph.clone();
    graph.is_complete = false;
    assert_eq!(Build { graph, ..incomplete }.y(), "unknown");
}
