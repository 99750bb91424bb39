//! Rows of numbers are read alike on the short way and on the long one, to the bit.

use onnx_gateway::{
    codec::{RowBase, parse_valid},
    model::{
        Contract, Dimension, ElementType, Feature, FlatLayout, Layout, Signature, Tensor, TensorData,
        ValueSpec, rows_to_tensors,
    },
    protocols::native::json::{FlatRows, PredictRequest, RequestInputs, read_flat_rows},
};
use proptest::prelude::*;

use crate::support::table;

fn contract(columns: usize) -> Contract {
    let feature = |column: usize| Feature {
        minimum: (column == 1).then_some(-0.3),
        maximum: (column == 1).then_some(1e30),
        ..Feature::new(format!("f{column}"))
    };
    Contract::new((0..columns).map(feature).collect(), Vec::new())
}

fn layout(element_type: ElementType, columns: usize) -> Layout {
    let shape = vec![Dimension::Dynamic("N".to_owned()), Dimension::Fixed(columns)];
    let inputs = vec![ValueSpec::tensor("x", element_type, shape)];
    Layout::of(&Signature { inputs, outputs: Vec::new() }, &contract(columns)).unwrap().unwrap()
}

/// What the long way reads.
fn slow(body: &[u8], layout: &Layout, columns: usize) -> Option<(FlatRows, Tensor)> {
    let RequestInputs::Rows(rows, base) = parse_valid::<PredictRequest>(body).ok()?.asked() else {
        return None;
    };
    let (_, tensor) = rows_to_tensors(&rows, layout, &contract(columns)).ok()?.remove(0);
    Some((FlatRows { rows: rows.len(), many: base == RowBase::Instances }, tensor))
}

fn fast(body: &[u8], layout: &Layout, columns: usize) -> Option<(FlatRows, Tensor)> {
    let flat = FlatLayout::of(layout, &contract(columns)).unwrap();
    if flat.element_type() == ElementType::F32 {
        let mut elements = vec![7.0_f32];
        let read = read_flat_rows(body, &flat, &mut elements);
        assert!(read.is_some() || elements.len() == 1, "nothing is left of what was not read");
        read.map(|read| (read, flat.tensor(read.rows, elements.split_off(1)).unwrap()))
    } else {
        let mut elements: Vec<f64> = Vec::new();
        let read = read_flat_rows(body, &flat, &mut elements)?;
        Some((read, flat.tensor(read.rows, elements).unwrap()))
    }
}

fn bits(tensor: &Tensor) -> (Vec<usize>, Vec<u64>) {
    let bits = match tensor.data() {
        TensorData::F32(elements) => elements.iter().map(|element| element.to_bits().into()).collect(),
        TensorData::F64(elements) => elements.iter().map(|element| element.to_bits()).collect(),
        other => panic!("{other:?}"),
    };
    (tensor.shape().to_vec(), bits)
}

/// Whether the short way read it; if so the long way must have read the same.
fn is_read_alike(body: &[u8], columns: usize) -> bool {
    let read_as = |element_type| {
        let layout = layout(element_type, columns);
        let Some((read, tensor)) = fast(body, &layout, columns) else { return false };
        let text = String::from_utf8_lossy(body);
        let Some((slow_read, slow_tensor)) = slow(body, &layout, columns) else {
            panic!("only the short way reads {text}")
        };
        assert_eq!((read, bits(&tensor)), (slow_read, bits(&slow_tensor)), "{text} as {element_type}");
        true
    };
    [ElementType::F32, ElementType::F64].map(read_as).contains(&true)
}

#[test]
fn the_usual_forms_are_read() {
    let cases = [
        r#"{"features":[5.1,3.5]}"#,
        r#"{"instances":[[5.1,3.5]]}"#,
        r#"{"instances":[[5.1,3.5],[1,2],[0.1e1,-0]]}"#,
        " {\t\"features\" :\r\n[ 5.1 , 3.5 ] }\n",
        r#"{ "instances" : [ [ 5.1, 3.5 ] , [ 1e-50, 1e-400 ] ] }"#,
        r#"{"features":[1234567890123456789012345,0.30000000000000004]}"#,
        r#"{"features":[-9223372036854775808,18446744073709551615]}"#,
        r#"{"features":[16777217,9007199254740993]}"#,
        r#"{"features":[1e39,0]}"#,
    ];
    table::each(cases, |body| {
        assert!(is_read_alike(body.as_bytes(), 2), "{body}");
    });
    let rows = vec!["[0.1,2]"; 10_000].join(",");
    assert!(is_read_alike(format!(r#"{{"instances":[{rows}]}}"#).as_bytes(), 2));
    assert!(is_read_alike(br#"{"features":[1]}"#, 1));
}

#[test]
fn the_unusual_is_for_the_long_way() {
    let cases = [
        "",
        "{",
        "[]",
        "{}",
        r#"{"features":[]}"#,
        r#"{"instances":[]}"#,
        r#"{"instances":[[]]}"#,
        r#"{"features":[1]}"#,
        r#"{"features":[1,2,3]}"#,
        r#"{"features":[1,2,]}"#,
        r#"{"features":[1,2],}"#,
        r#"{"features":[1,2]}}"#,
        r#"{"features":[1,2]} x"#,
        r#"{"features":[1,2],"instances":[[1,2]]}"#,
        r#"{"features":[1,2],"features":[1,2]}"#,
        r#"{"features":[[1,2]]}"#,
        r#"{"features":{"f0":1,"f1":2}}"#,
        r#"{"features":[1,null]}"#,
        r#"{"features":[1,"2"]}"#,
        r#"{"features":[1,true]}"#,
        r#"{"\u0066eatures":[1,2]}"#,
        r#"{"instances":[1,2]}"#,
        r#"{"instances":[[1,2],[1]]}"#,
        r#"{"instances":[[1,2][1,2]]}"#,
        r#"{"instances":[[1,2],]}"#,
        r#"{"instances":[[1,2]"#,
        r#"{"inputs":{"x":[[1,2]]}}"#,
        r#"{"features":[1e400,2]}"#,
        r#"{"features":[1,-0.31]}"#,
        r#"{"features":[1,1.1e30]}"#,
        r#"{"features":[0x1,2]}"#,
        r#"{"features":[1.,2]}"#,
        r#"{"features":[.5,2]}"#,
        r#"{"features":[01,2]}"#,
        r#"{"features":[+1,2]}"#,
        r#"{"features":[1,NaN]}"#,
        "\u{feff}{\"features\":[1,2]}",
        "{\"features\":[1,\u{a0}2]}",
    ];
    table::each(cases, |body| {
        assert!(!is_read_alike(body.as_bytes(), 2), "{body}");
    });
    let deep = "[".repeat(200);
    assert!(!is_read_alike(format!(r#"{{"instances":{deep}"#).as_bytes(), 2));
    // No 32-bit float is as great, but a 64-bit one is.
    let layout = layout(ElementType::F32, 2);
    assert!(fast(br#"{"features":[1e39,0]}"#, &layout, 2).is_none());
}

/// A number, as clients write them and as they do not.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-100_000..100_000_i32).prop_map(|number| (f64::from(number) / 1000.0).to_string()),
        2 => any::<f32>().prop_filter("JSON has no other", |number| number.is_finite()).prop_map(|n| format!("{n:e}")),
        2 => (0.0..10.0_f64).prop_map(|number| number.to_string()),
        2 => any::<f64>().prop_map(|number| format!("{number:?}")),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        3 => "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
        1 => "-?[0-9]{0,3}\\.?[0-9]{0,3}e?[+-]?[0-9]{0,2}",
    ]
}

fn list(items: &[String], space: &str) -> String {
    format!("[{space}{}{space}]", items.join(&format!("{space},{space}")))
}

/// A body of two columns, or nearly so.
fn body() -> impl Strategy<Value = String> {
    let row =
        || prop_oneof![20 => prop::collection::vec(number(), 2), 1 => prop::collection::vec(number(), 0..4)];
    let space = || prop_oneof![3 => Just(""), 1 => Just(" "), 1 => Just("\n\t"), 1 => Just("\r")];
    let rows = prop::collection::vec((row(), space()), 1..5);
    (rows, space(), any::<bool>()).prop_map(|(rows, space, many)| {
        let rows: Vec<String> = rows.iter().map(|(row, space)| list(row, space)).collect();
        let (name, value) =
            if many { ("instances", list(&rows, space)) } else { ("features", rows[0].clone()) };
        format!(r#"{space}{{{space}"{name}"{space}:{value}{space}}}{space}"#)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn whatever_is_read_on_the_short_way_has_the_bits_of_the_long_one(body in body()) {
        is_read_alike(body.as_bytes(), 2);
    }

    #[test]
    fn what_the_long_way_reads_in_the_usual_form_the_short_one_reads_too(
        numbers in prop::collection::vec(prop_oneof![(0.0..1e6_f64).prop_map(|n| n.to_string()), (0..1000_u32).prop_map(|n| n.to_string())], 2),
        many: bool,
    ) {
        let row = list(&numbers, "");
        let body = if many { format!(r#"{{"instances":[{row},{row}]}}"#) } else { format!(r#"{{"features":{row}}}"#) };
        prop_assert!(is_read_alike(body.as_bytes(), 2));
    }

    #[test]
    fn damaged_bodies_are_read_alike(
        body in body(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), prop::sample::select(&b"{}[],:\"0123.-+eE \n"[..])]), 1..3),
        kind in 0..3_u8,
    ) {
        let mut bytes = body.into_bytes();
        for (place, byte) in damage {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        is_read_alike(&bytes, 2);
    }
}
