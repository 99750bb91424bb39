//! `onnx-gateway score`: predictions for every row of a file.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    process::{Output, Stdio},
    sync::Arc,
};

use parquet::{
    basic::{LogicalType, Repetition, Type as PhysicalType},
    data_type::{ByteArray, ByteArrayType, FloatType, Int32Type},
    file::{
        reader::{FileReader, SerializedFileReader},
        writer::SerializedFileWriter,
    },
    schema::types::Type,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    TestGateway,
    binary::{command, run, run_with_input, text},
    repository::{Repository, source_tree},
    table,
    tokens::TokenBuilder,
};

const HEADER: &str = "sepal_length,sepal_width,petal_length,petal_width";

/// A folder with files of rows.
struct Folder(TempDir);

/// A rejected row: its line, the row, and the pointer and code of each fault.
type Rejected = (Value, Value, Vec<(Value, Value)>);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with one file.
    fn with(name: &str, contents: &str) -> Self {
        let folder = Self::new();
        fs::write(folder.path().join(name), contents).unwrap();
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs `score` in the folder.
    fn score(&self, model: &str, arguments: &str) -> Output {
        let arguments: Vec<&str> = arguments.split(' ').filter(|argument| !argument.is_empty()).collect();
        run(&[&["score", model], arguments.as_slice()].concat(), self.path(), &[])
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The names of all files.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// The rejected rows: row, line, and column and code of each fault.
    fn rejected(&self, name: &str) -> Vec<Rejected> {
        let lines = self.read(name);
        let row = |line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let errors = row["errors"].as_array().unwrap();
            let errors =
                errors.iter().map(|error| (error["column"].clone(), error["code"].clone())).collect();
            (row["row"].clone(), row["line"].clone(), errors)
        };
        lines.lines().map(row).collect()
    }
}

fn model(name: &str) -> String {
    source_tree().join(format!("tests/models/{name}.onnx")).to_str().unwrap().to_owned()
}

fn iris() -> String {
    source_tree().join("models/iris").to_str().unwrap().to_owned()
}

/// Asserts the exit status and returns the standard error.
fn status(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    text(&output.stderr)
}

#[test]
fn csv_is_scored_in_its_order_and_other_columns_pass_through() {
    // More rows than several blocks hold, in another order of columns than the model's.
    let rows: String = (0..5000).fold(String::new(), |rows, row| {
        let flower = if row % 3 == 0 { "0.2,3.5,5.1,1.4" } else { "2.3,3.0,6.7,5.2" };
        format!("{rows}\"no, {row}\",{flower}\n")
    });
    let header = "id,petal_width,sepal_width,sepal_length,petal_length\n";
    let folder = Folder::with("rows.csv", &format!("{header}{rows}"));
    let said = status(&folder.score(&iris(), "--input rows.csv --output out.csv"), 0);
    assert!(said.starts_with("scored 5000 rows in ") && said.ends_with(": out.csv\n"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let out = folder.read("out.csv");
    let mut lines = out.lines();
    let expected = "id,prediction,probabilities.setosa,probabilities.versicolor,probabilities.virginica";
    assert_eq!(lines.next(), Some(expected));
    assert_eq!(lines.next(), Some("\"no, 0\",setosa,0.99999934,0.0,0.0"));
    for (row, line) in out.lines().skip(1).enumerate() {
        let class = if row % 3 == 0 { "setosa" } else { "virginica" };
        assert!(line.starts_with(&format!("\"no, {row}\",{class},")), "{row}: {line}");
    }
    assert_eq!(out.lines().count(), 5001);
    assert_eq!(folder.files(), ["out.csv", "rows.csv"], "no temporary and no rejected file");
}

#[tokio::test]
async fn a_row_is_answered_as_by_the_server() {
    let gateway = TestGateway::start().await;
    let line = json!({"petal_width": 0.2, "id": [7, null], "sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4});
    let folder = Folder::with("rows.jsonl", &format!("{line}\n\n[6.7,3.0,5.2,2.3]"));
    status(&folder.score(&iris(), "--input rows.jsonl --output out.jsonl"), 0);
    let instances = json!({"instances": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]});
    let answers = gateway.predict(&instances).await.body["predictions"].clone();
    let scored: Vec<Value> =
        folder.read("out.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut first = answers[0].clone();
    first["id"] = json!([7, null]);
    assert_eq!(scored, [first, answers[1].clone()]);
}

#[test]
fn mixed_types_missing_values_and_constants_are_as_in_the_contract() {
    let rows = "visits,age,city,\"a \"\"note\"\"\"\n3,41.5,Rome,\"x\ny\"\n2,,,\n7,30,\"Oslo\",z\n";
    let folder = Folder::with("rows.csv", rows);
    status(&folder.score(&model("kinds/columns"), "--input rows.csv --output out.jsonl"), 0);
    let out = folder.read("out.jsonl");
    assert!(out.starts_with("{\"a \\\"note\\\"\":\"x\\ny\",\"prediction\":\""), "{out}");
    assert_eq!(out.lines().count(), 3);
    // A missing age is 1 and a missing city Rome.
    let given = Folder::with("rows.csv", "visits,age,city\n2,1,Rome\n");
    status(&given.score(&model("kinds/columns"), "--input rows.csv --output out.jsonl"), 0);
    let given: Value = serde_json::from_str(&given.read("out.jsonl")).unwrap();
    let filled: Value = serde_json::from_str(out.lines().nth(1).unwrap()).unwrap();
    assert_eq!(filled["probabilities"], given["probabilities"]);

    let folder = Folder::with("rows.csv", "a,b,c,d\n1,2,3,4\n");
    status(&folder.score(&model("kinds/buffer"), "--input rows.csv --output out.csv"), 0);
    let out = folder.read("out.csv");
    assert!(out.starts_with("prediction,outputs.classes\n\"[") && out.contains("]\",\"["), "{out}");
}

#[test]
fn maps_of_classes_are_columns_and_rows_that_depend_on_each_other_are_run_alone() {
    let folder = Folder::with("rows.csv", "X\n0.5\n");
    status(&folder.score(&model("classes/risk_maps"), "--input rows.csv --output out.csv"), 0);
    let out = folder.read("out.csv");
    let header = "prediction,probabilities.low,probabilities.mid,probabilities.high\n";
    assert!(out.starts_with(header), "{out}");

    let folder = Folder::with("rows.csv", "a,b\n1,2\n3,9\n");
    status(&folder.score(&model("softmax_of_rows"), "--input rows.csv --output out.jsonl"), 0);
    let out = folder.read("out.jsonl");
    let expected = "{\"prediction\":[1.0,1.0]}\n";
    assert_eq!(out, expected.repeat(2), "alone, a row is the whole sum");
}

#[test]
fn rejected_rows_are_named_with_every_fault_and_the_others_are_scored() {
    let rows = [
        HEADER,
        "5.1,3.5,1.4,0.2",
        "51,wide,1.4,0.2",
        "5.1,3.5,1.4",
        "5.1,,1.4,0.2",
        "\"6.7\",3.0,5.2,2.3",
        " 6.7 ,3.0e0,+5.2,2.3",
        "NaN,3,1,1",
    ];
    let folder = Folder::with("rows.csv", &rows.join("\r\n"));
    let said = status(&folder.score(&iris(), "--input rows.csv --output out.csv"), 5);
    assert!(said.ends_with(": out.csv; rejected 4 rows: out.csv.rejected.jsonl\n"), "{said}");
    assert_eq!(folder.read("out.csv").lines().count(), 4);
    let fault = |column: &str, code: &str| (json!(column), json!(code));
    assert_eq!(
        folder.rejected("out.csv.rejected.jsonl"),
        [
            (
                json!(2),
                json!(3),
                vec![fault("sepal_length", "out_of_range"), fault("sepal_width", "not_a_number")]
            ),
            (json!(3), json!(4), vec![(Value::Null, json!("wrong_count"))]),
            (json!(4), json!(5), vec![fault("sepal_width", "not_a_number")]),
            (json!(7), json!(8), vec![fault("sepal_length", "not_a_number")]),
        ]
    );
    let first: Value =
        serde_json::from_str(folder.read("out.csv.rejected.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!(first["input"]["sepal_width"], "wide");
    assert_eq!(first["errors"][0]["message"], "expected a number from 0.1 to 15 (cm), got 51");

    let printed = folder.score(&iris(), "--input rows.csv --output out.csv --json");
    assert_eq!(status(&printed, 5), "");
    let mut document: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert!(document["seconds"].take().is_f64());
    assert_eq!(
        document,
        json!({
            "rows": 3, "rejected": 4, "seconds": null, "output": "out.csv",
            "rejected_file": "out.csv.rejected.jsonl", "columns_left_out": [],
        })
    );
    let both = folder.score(&iris(), "--input rows.csv --output - --output-format csv --rejected bad --json");
    assert!(status(&both, 1).contains("--json: standard output has the predictions"));

    // Once all is well, the old file of rejected rows is gone.
    fs::write(folder.path().join("rows.csv"), format!("{HEADER}\n5.1,3.5,1.4,0.2\n")).unwrap();
    status(&folder.score(&iris(), "--input rows.csv --output out.csv"), 0);
    assert_eq!(folder.files(), ["out.csv", "rows.csv"]);
}

#[test]
fn a_row_for_which_the_model_fails_does_not_take_others_with_it() {
    let rows: Vec<String> =
        (0..2000).map(|row| if row == 1500 { -1 } else { row }.to_string() + "\n").collect();
    let rows = rows.concat();
    let folder = Folder::with("rows.csv", &format!("x\n{rows}"));
    status(&folder.score(&model("square_root"), "--input rows.csv --output out.csv --rejected bad.jsonl"), 5);
    assert_eq!(
        folder.rejected("bad.jsonl"),
        [(json!(1501), json!(1502), vec![(Value::Null, json!("model_failed"))])]
    );
    let out = folder.read("out.csv");
    assert_eq!(out.lines().count(), 2000);
    assert_eq!(out.lines().nth(1501).unwrap(), "38.74274", "the row after it: √1501");

    let folder = Folder::with("rows.csv", "a,b\n6,3\n1,0\n8,2\n");
    status(&folder.score(&model("quotient"), "--input rows.csv --output out.csv"), 5);
    assert_eq!(folder.read("out.csv"), "prediction\n2\n4\n", "a division by zero ends no process");
}

#[test]
fn lines_that_are_not_rows_are_rejected() {
    let good = r#"{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2,"id":1}"#;
    let lines = [
        good,
        "{bad",
        "7",
        "[1,2]",
        r#"{"sepal_length":5.1,"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}"#,
        r#"{"sepal_length":true,"sepal_width":3.5,"petal_length":1.4}"#,
    ];
    let folder = Folder::with("rows.jsonl", &lines.join("\n"));
    status(&folder.score(&iris(), "--input rows.jsonl --output out.jsonl"), 5);
    let out = folder.read("out.jsonl");
    assert!(
        out.starts_with(r#"{"id":1,"prediction":"setosa","probabilities":{"setosa":0.99999934,"#),
        "{out}"
    );
    let codes: Vec<(Value, Vec<Value>)> = folder
        .rejected("out.jsonl.rejected.jsonl")
        .into_iter()
        .map(|(_, line, errors)| (line, errors.into_iter().map(|(_, code)| code).collect()))
        .collect();
    let expected = json!([
        [2, ["malformed_json"]],
        [3, ["malformed_json"]],
        [4, ["wrong_count"]],
        [5, ["duplicate"]],
        [6, ["not_a_number", "not_a_number"]]
    ]);
    assert_eq!(json!(codes), expected);

    // Columns are those of the first lines; a line with another is not cut short.
    let more = format!("{good}\n").repeat(1024);
    let late = good.replace("\"id\"", "\"key\"");
    let folder = Folder::with("rows.jsonl", &format!("{more}{late}\n"));
    status(&folder.score(&iris(), "--input rows.jsonl --output out.csv"), 5);
    let (row, _, errors) = folder.rejected("out.csv.rejected.jsonl").remove(0);
    assert_eq!((row, errors), (json!(1025), vec![(json!("key"), json!("unknown_column"))]));
    status(&folder.score(&iris(), "--input rows.jsonl --output out.csv --drop"), 0);
    let late = good.replace("\"id\"", "\"prediction\"");
    fs::write(folder.path().join("rows.jsonl"), format!("{more}{late}\n")).unwrap();
    status(&folder.score(&iris(), "--input rows.jsonl --output out.jsonl"), 5);
    assert_eq!(folder.rejected("out.jsonl.rejected.jsonl")[0].2, [(json!("prediction"), json!("duplicate"))]);
}

#[test]
fn a_quote_that_is_not_closed_rejects_its_row_alone() {
    let good = "5.1,3.5,1.4,0.2\n";
    let rows = format!("{HEADER}\n{good}\"5.1,3.5,1.4,0.2\n{}5.1,\"3.5,1.4,0.2\n{good}", good.repeat(2000));
    let folder = Folder::with("rows.csv", &rows.replacen('"', "", 1));
    let said = status(&folder.score(&iris(), "--input rows.csv --output out.csv"), 5);
    assert!(said.contains("scored 2003 rows") && said.contains("rejected 1 rows"), "{said}");
    let expected = [(json!(2003), json!(2004), vec![(Value::Null, json!("malformed_csv"))])];
    assert_eq!(folder.rejected("out.csv.rejected.jsonl"), expected);

    // A later quote closes it: what lies between is one record, and the message says so.
    fs::write(folder.path().join("rows.csv"), &rows).unwrap();
    status(&folder.score(&iris(), "--input rows.csv --output out.csv"), 5);
    let rejected = folder.read("out.csv.rejected.jsonl");
    assert_eq!(folder.read("out.csv").lines().count(), 3, "the first and the last row, and the header");
    assert!(
        rejected.contains("a quote holds 2002 lines together: is it not closed?"),
        "{}",
        &rejected[..300]
    );

    // A file of nothing else ends soon.
    fs::write(folder.path().join("rows.csv"), format!("{HEADER}\n{}", "a\",\"\n".repeat(5000))).unwrap();
    let said = status(&folder.score(&iris(), "--input rows.csv --output gone.csv"), 1);
    assert!(said.contains("line 102: a quote is not closed") && said.contains("100 rows before"), "{said}");
}

#[test]
fn columns_that_do_not_fit_are_one_error_for_the_file() {
    let cases = [
        ("sepal_lenght,sepal_width,petal_length,petal_width\n1,1,1,1\n", "", "did you mean `sepal_lenght`?"),
        ("sepal_width,petal_length,petal_width\n1,1,1\n", "", "there is no column `sepal_length`"),
        ("5.1,3.5,1.4,0.2\n5.1,3.5,1.4,0.2\n", "", "rows.csv: the first line must name the columns"),
        ("", "", "rows.csv: it is empty"),
        ("a,a,b,c,d,a\n", "--columns a,b,c,d", "the column `a` occurs more than once"),
        ("a,b\n1,2\n", "--columns a,b", "--columns names 2 columns, the model takes 4"),
        ("a,b,c,d\n1,2,3,4\n", "--columns a,b,c,d --keep e", "--keep: there is no column `e`"),
        ("sepal_length,sepal_width,petal_length,petal_width,prediction\n", "", "use --prefix or --drop"),
        (
            "sepal_length;sepal_width;petal_length;petal_width\n1;1;1;1\n",
            "",
            "rows.csv: the first line is one column",
        ),
        ("sepal_length;sepal_width;petal_length;petal_width\n1;1;1;1\n", "", "use --delimiter ';'"),
        ("a\tb\tc\td\n1\t1\t1\t1\n", "--columns a,b,c,d", "use --delimiter $'\\t'"),
        ("\"sepal_length,sepal_width\n1,1,1,1\n", "", "line 1: a quote is not closed"),
    ];
    table::each(cases, |(rows, options, part)| {
        let folder = Folder::with("rows.csv", rows);
        let said = status(&folder.score(&iris(), &format!("--input rows.csv --output out.csv {options}")), 1);
        assert!(said.contains(part), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(folder.files(), ["rows.csv"], "no output");
    });
    let folder = Folder::with("rows.jsonl", "{\"petal_lenght\":1}\n");
    let said = status(&folder.score(&iris(), "--input rows.jsonl --output out.csv"), 1);
    assert!(said.contains("`petal_length`, which the model takes: did you mean `petal_lenght`?"), "{said}");
}

#[test]
fn models_without_rows_and_files_that_are_no_model_are_named() {
    let folder = Folder::with("rows.csv", "x\n1\n");
    let cases = [
        (model("kinds/scalar"), "the model does not take rows"),
        (model("kinds/states"), "output `h_n` [2, N, 4]"),
        (model("nan_weights"), "would be refused: non_finite_output"),
        ("iriss".to_owned(), "there is no such file"),
        (
            source_tree().join("models/irsi").to_str().unwrap().to_owned(),
            "there is no such file, folder or model",
        ),
    ];
    table::each(cases, |(model, part)| {
        let said = status(&folder.score(&model, "--input rows.csv --output out.csv"), 1);
        assert!(said.contains(part), "{said}");
        assert_eq!(folder.files(), ["rows.csv"]);
    });
}

#[test]
fn a_model_of_a_repository_has_its_model_toml_and_versions() {
    let repository = Repository::new();
    repository.put_test_model("sums/1/model.onnx", "regressor");
    repository.put_test_model("sums/2/model.onnx", "regressor");
    repository.put("sums/model.toml", b"[labels]\nold = 1\n[[contract.features]]\nname = \"a\"\nmaximum = 5\n[[contract.features]]\nname = \"b\"");
    let sums = repository.path().join("sums");
    let sums = sums.to_str().unwrap();
    let folder = Folder::with("rows.csv", "b,a\n100,10\n1,1\n");
    let newest =
        |arguments: &str| folder.score(sums, &format!("--input rows.csv --output out.csv {arguments}"));
    status(&newest(""), 5);
    assert_eq!(folder.rejected("out.csv.rejected.jsonl")[0].2, [(json!("a"), json!("out_of_range"))]);
    status(&newest("--model-version old"), 5);
    status(&folder.score(&format!("{sums}/1"), "--input rows.csv --output out.csv"), 5);
    let said = status(&newest("--model-version 9"), 1);
    assert!(said.contains("sums: there is no version 9"), "{said}");
    let named = run(
        &["score", "sums", "--input", "rows.csv", "--output", "out.csv"],
        folder.path(),
        &[("GATEWAY__MODELS__REPOSITORY", repository.path().to_str().unwrap())],
    );
    status(&named, 5);
    let file = format!("{sums}/1/model.onnx");
    status(&folder.score(&file, "--input rows.csv --output out.csv"), 5);
    // The file alone has no names: its columns count by position.
    status(&folder.score(&file, "--input rows.csv --output out.csv --no-model-toml"), 0);
    let columns = "--input rows.csv --output out.csv --no-model-toml --columns a,b --keep a";
    status(&folder.score(&file, columns), 0);
    assert_eq!(folder.read("out.csv").lines().nth(1), Some("10,320.0"));
}

#[test]
fn a_name_without_a_repository_is_told_of_with_the_ways_to_give_one() {
    let folder = Folder::with("rows.csv", "a\n1\n");
    let ways = "GATEWAY__MODELS__REPOSITORY=FOLDER or --config FILE, or a running gateway by --url URL";
    let said = status(&folder.score("churn", "--input rows.csv --output out.csv"), 1);
    assert!(
        said.contains("churn: there is no such file or folder, and no repository in") && said.contains(ways),
        "{said}"
    );
    let environment = [("GATEWAY__MODELS__REPOSITORY", "models")];
    let arguments = ["score", "irsi", "--input", "rows.csv", "--output", "out.csv"];
    let said = status(&run(&arguments, &source_tree(), &environment), 1);
    assert!(said.contains("no such model in models (did you mean iris?)") && said.contains(ways), "{said}");
}

#[test]
fn options_choose_columns_and_forms() {
    let rows = "no;sepal_length;sepal_width;petal_length;petal_width\n1;5.1;3.5;1.4;0.2\n";
    let folder = Folder::with("rows.txt", rows);
    let scored = |options: &str| {
        let options = format!("--input rows.txt --input-format csv --delimiter ; --output out.csv {options}");
        status(&folder.score(&iris(), &options), 0);
        folder.read("out.csv").lines().next().unwrap().to_owned()
    };
    assert!(scored("").starts_with("no;prediction;"));
    assert!(scored("--drop").starts_with("prediction;"));
    assert!(scored("--drop --keep petal_width").starts_with("petal_width;prediction;"));
    assert!(scored("--prefix model_").starts_with("no;model_prediction;model_probabilities.setosa;"));

    let folder = Folder::with("rows.tsv", "5.1\t3.5\t1.4\t0.2\n");
    status(&folder.score(&iris(), "--input rows.tsv --no-header --output out.jsonl"), 0);
    assert_eq!(folder.read("out.jsonl").lines().count(), 1);

    let cases = [
        ("--input rows.tsv --output out", "--output: the ending of out names no format"),
        ("--input rows.tsv --output out.csv --delimiter ä", "--delimiter: expected one ASCII character"),
        ("--input rows.tsv --output - --output-format csv", "--rejected: name the file"),
        (
            "--input - --input-format parquet --output out.csv",
            "standard input: Parquet cannot be read from it",
        ),
        ("--input gone.csv --output out.csv", "gone.csv: No such file"),
        ("--input rows.tsv --no-header --output gone/out.csv", "gone/out.csv cannot be written"),
        ("--input rows.tsv --output out.csv --rejected out.csv", "name the same file"),
        (
            "--input rows.tsv --input-format parquet --output out.csv",
            "rows.tsv: it cannot be read as Parquet",
        ),
    ];
    table::each(cases, |(options, part)| {
        let said = status(&folder.score(&iris(), options), 1);
        assert!(said.contains(part), "{said}");
    });
}

#[test]
fn an_output_never_takes_the_place_of_a_file_that_is_read() {
    let rows = format!("{HEADER}\n5.1,3.5,1.4,0.2\n");
    let folder = Folder::with("rows.csv", &rows);
    fs::write(folder.path().join("other.csv"), "before").unwrap();
    fs::copy(model("iris_retrained"), folder.path().join("m.onnx")).unwrap();
    std::os::unix::fs::symlink("rows.csv", folder.path().join("link.csv")).unwrap();
    fs::hard_link(folder.path().join("rows.csv"), folder.path().join("hard.csv")).unwrap();
    let before = folder.files();
    let cases = [
        ("--input rows.csv --output rows.csv", "--output rows.csv would overwrite --input rows.csv"),
        ("--input rows.csv --output ./rows.csv", "--output ./rows.csv would overwrite --input rows.csv"),
        ("--input rows.csv --output link.csv", "--output link.csv would overwrite --input rows.csv"),
        ("--input link.csv --output rows.csv", "--output rows.csv would overwrite --input link.csv"),
        ("--input hard.csv --output rows.csv", "--output rows.csv would overwrite --input hard.csv"),
        (
            "--input rows.csv --output out.csv --rejected rows.csv",
            "--rejected rows.csv would overwrite --input",
        ),
        ("--input rows.csv --output - --rejected link.csv", "--rejected link.csv would overwrite --input"),
        (
            "--input rows.csv --output out.csv --rejected ./out.csv",
            "--output out.csv and --rejected ./out.csv name",
        ),
        (
            "--input rows.csv --output m.onnx --output-format csv",
            "--output m.onnx would overwrite MODEL m.onnx",
        ),
    ];
    table::each(&cases, |(arguments, expected)| {
        let said = status(&folder.score("m.onnx", arguments), 1);
        assert!(said.contains(expected) && said.contains("nothing was written"), "{said}");
        assert_eq!((folder.read("rows.csv"), folder.files()), (rows.clone(), before.clone()));
    });
    // Rows from standard input are those of a file, too.
    let input = File::open(folder.path().join("rows.csv")).unwrap();
    let arguments = ["score", "m.onnx", "--input", "-", "--input-format", "csv", "--output", "rows.csv"];
    let said = command().args(arguments).current_dir(folder.path()).stdin(input).output().unwrap();
    assert!(status(&said, 1).contains("--output rows.csv would overwrite --input -"), "{said:?}");
    // Another file is replaced once the output is complete.
    status(&folder.score("m.onnx", "--input rows.csv --output other.csv"), 0);
    assert!(folder.read("other.csv").starts_with("prediction"), "{}", folder.read("other.csv"));
    assert_eq!(folder.read("rows.csv"), rows);
}

#[test]
fn standard_input_and_output_are_streams() {
    let arguments =
        ["score", &iris(), "--input", "-", "--input-format", "csv", "--output", "-", "--output-format"];
    let arguments = [arguments.as_slice(), &["jsonl", "--rejected", "/dev/null"]].concat();
    let output = run_with_input(&arguments, &format!("{HEADER}\n5.1,3.5,1.4,0.2\nx,1,1,1\n"));
    let said = status(&output, 5);
    assert!(said.contains("scored 1 rows") && said.contains("/dev/null"), "{said}");
    assert!(text(&output.stdout).starts_with("{\"prediction\":\"setosa\""), "{output:?}");
    assert_eq!(text(&output.stdout).lines().count(), 1);

    // Without a name for it, the format of standard output is that of the input.
    for (name, rows, begin) in [
        ("rows.csv", format!("{HEADER}\n5.1,3.5,1.4,0.2\n"), "prediction,probabilities.setosa,"),
        ("rows.jsonl", "[5.1,3.5,1.4,0.2]\n".to_owned(), "{\"prediction\":\"setosa\""),
    ] {
        let folder = Folder::with(name, &rows);
        let output = folder.score(&iris(), &format!("--input {name} --output - --rejected bad.jsonl"));
        status(&output, 0);
        assert!(text(&output.stdout).starts_with(begin), "{name}: {output:?}");
    }
}

#[test]
fn an_empty_file_has_an_empty_output() {
    let header = "prediction,probabilities.setosa,probabilities.versicolor,probabilities.virginica\n";
    let folder = Folder::with("rows.csv", &format!("{HEADER}\n"));
    status(&folder.score(&iris(), "--input rows.csv --output out.csv"), 0);
    assert_eq!(folder.read("out.csv"), header);
    status(&folder.score(&iris(), "--input rows.csv --output out.parquet"), 0);
    assert_eq!(parquet_rows(&folder.path().join("out.parquet")), Vec::<String>::new());
    fs::write(folder.path().join("rows.jsonl"), "\n").unwrap();
    status(&folder.score(&iris(), "--input rows.jsonl --output out.jsonl"), 0);
    assert_eq!(folder.read("out.jsonl"), "");
}

/// The rows of a Parquet file, as its library shows them.
fn parquet_rows(path: &Path) -> Vec<String> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect()
}

/// Writes a Parquet file of flowers, some without a petal width, with a day and a note that may be missing.
fn write_parquet(path: &Path, rows: i32) {
    let names = HEADER.split(',');
    let mut fields: Vec<_> = names
        .map(|name| {
            let repetition = if name == "petal_width" { Repetition::OPTIONAL } else { Repetition::REQUIRED };
            let field = Type::primitive_type_builder(name, PhysicalType::FLOAT).with_repetition(repetition);
            Arc::new(field.build().unwrap())
        })
        .collect();
    let day =
        Type::primitive_type_builder("day", PhysicalType::INT32).with_logical_type(Some(LogicalType::Date));
    fields.push(Arc::new(day.with_repetition(Repetition::REQUIRED).build().unwrap()));
    let note = Type::primitive_type_builder("note", PhysicalType::BYTE_ARRAY)
        .with_logical_type(Some(LogicalType::String));
    fields.push(Arc::new(note.with_repetition(Repetition::OPTIONAL).build().unwrap()));
    let schema = Arc::new(Type::group_type_builder("flowers").with_fields(fields).build().unwrap());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
    for part in 0..2 {
        let mut group = writer.next_row_group().unwrap();
        let count = usize::try_from(rows).unwrap();
        for value in [5.1_f32, 3.5, 1.4] {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<FloatType>().write_batch(&vec![value; count], None, None).unwrap();
            column.close().unwrap();
        }
        let every_third: Vec<i16> = (0..rows).map(|row| i16::from(row % 3 != 0)).collect();
        let present = every_third.iter().filter(|level| **level == 1).count();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<FloatType>().write_batch(&vec![0.2_f32; present], Some(&every_third), None).unwrap();
        column.close().unwrap();
        let days: Vec<i32> = (0..rows).map(|row| 20_000 + part * rows + row).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int32Type>().write_batch(&days, None, None).unwrap();
        column.close().unwrap();
        let notes: Vec<ByteArray> =
            (0..present).map(|row| ByteArray::from(format!("n{row}").into_bytes())).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&notes, Some(&every_third), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn parquet_is_read_and_written_with_its_types() {
    let folder = Folder::new();
    write_parquet(&folder.path().join("rows.parquet"), 1500);
    let said = status(&folder.score(&iris(), "--input rows.parquet --output out.parquet"), 5);
    assert!(said.contains("scored 2000 rows") && said.contains("rejected 1000 rows"), "{said}");
    let rows = parquet_rows(&folder.path().join("out.parquet"));
    assert_eq!(rows.len(), 2000);
    let expected = "{day: 2024-10-05, note: \"n0\", prediction: \"setosa\", probabilities.setosa: 0.99999934, \
                    probabilities.versicolor: 0.0, probabilities.virginica: 0.0}";
    assert_eq!(rows[0].replace("0E0", "0.0"), expected);
    let (row, line, errors) = folder.rejected("out.parquet.rejected.jsonl").remove(1);
    assert_eq!(
        (row, line, errors),
        (json!(4), Value::Null, vec![(json!("petal_width"), json!("not_a_number"))])
    );
    let shown = folder.read("out.parquet.rejected.jsonl");
    assert!(
        shown.lines().next().unwrap().contains("\"petal_width\":null,\"day\":\"2024-10-04\",\"note\":null"),
        "{shown}"
    );

    status(&folder.score(&iris(), "--input rows.parquet --output out.csv"), 5);
    assert_eq!(folder.read("out.csv").lines().nth(1), Some("2024-10-05,n0,setosa,0.99999934,0.0,0.0"));
    status(&folder.score(&iris(), "--input rows.parquet --output out.jsonl"), 5);
    assert!(folder.read("out.jsonl").starts_with(r#"{"day":"2024-10-05","note":"n0","prediction":"setosa""#));

    // Lists of a model become lists, and what JSON lines pass through becomes text.
    fs::write(
        folder.path().join("rows.jsonl"),
        "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"id\":\"x\"}\n{\"a\":1,\"b\":2,\"c\":3,\"d\":4}\n",
    )
    .unwrap();
    status(&folder.score(&model("kinds/buffer"), "--input rows.jsonl --output lists.parquet"), 0);
    let rows = parquet_rows(&folder.path().join("lists.parquet"));
    assert!(
        rows[0].starts_with("{id: \"x\", prediction: [") && rows[1].starts_with("{id: null, "),
        "{rows:?}"
    );
}

#[test]
fn an_interrupted_run_leaves_what_was_there() {
    let folder = Folder::with("out.csv", "old\n");
    let mut child = command()
        .args(["score", &iris(), "--input", "-", "--input-format", "csv", "--output", "out.csv"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // Once more is taken than a pipe holds, the output has begun.
    let rows = "5.1,3.5,1.4,0.2\n".repeat(60_000);
    input.write_all(format!("{HEADER}\n{rows}").as_bytes()).unwrap();
    let begun = || folder.files().iter().any(|name| name.contains(".part"));
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while !begun() {
        assert!(std::time::Instant::now() < deadline, "{:?}", folder.files());
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let ended = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(ended.code(), Some(1), "{said}");
    assert_eq!(said, "error: interrupted: no output was written\n");
    assert_eq!((folder.files(), folder.read("out.csv")), (vec!["out.csv".to_owned()], "old\n".to_owned()));
}

/// Scores through a gateway, with a token of the test's own.
async fn through(gateway: &TestGateway, folder: &Folder, model: &str, arguments: &str) -> Output {
    fs::write(folder.path().join("token"), TokenBuilder::new().build()).unwrap();
    let url = gateway.url("");
    let path = folder.path().to_path_buf();
    let arguments = format!("score {model} --url {url} --token-file token {arguments}");
    let scored = move || run(&arguments.split(' ').collect::<Vec<_>>(), &path, &[]);
    tokio::task::spawn_blocking(scored).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_gateway_scores_as_this_process_does() {
    let gateway = TestGateway::builder().model("columns/1/model.onnx", "kinds/columns").start().await;
    let rows: String = (0..3000).fold(String::new(), |rows, row| match row {
        // More faults in a block than a response lists.
        1100..1350 => format!("{rows}{row},wide,3.5,1.4,0.2\n"),
        2999 => format!("{rows}{row},5.1,3.5\n"),
        _ => format!("{rows}{row},5.1,3.5,1.4,0.2\n"),
    });
    let folder = Folder::with("rows.csv", &format!("id,{HEADER}\n{rows}"));
    for format in ["csv", "jsonl"] {
        let (here, there) = (format!("here.{format}"), format!("there.{format}"));
        status(&folder.score(&iris(), &format!("--input rows.csv --output {here}")), 5);
        let output = through(&gateway, &folder, "iris", &format!("--input rows.csv --output {there}")).await;
        let said = status(&output, 5);
        assert!(said.contains("scored 2749 rows") && said.contains("rejected 251 rows"), "{said}");
        assert_eq!(folder.read(&here), folder.read(&there));
        let rejected = |name: &str| folder.read(&format!("{name}.rejected.jsonl"));
        assert_eq!(rejected(&here), rejected(&there));
    }
    fs::write(folder.path().join("mixed.csv"), "city,age,visits\nRome,41.5,3\n,,2\nOslo,200,1\n").unwrap();
    let output = through(&gateway, &folder, "columns", "--input mixed.csv --output there.parquet").await;
    status(&output, 5);
    assert_eq!(parquet_rows(&folder.path().join("there.parquet")).len(), 2);
    assert_eq!(folder.rejected("there.parquet.rejected.jsonl")[0].2, [(json!("age"), json!("out_of_range"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_refuses_or_is_busy_is_heeded() {
    let builder = TestGateway::builder().model("sound/1/model.onnx", "kinds/scalar");
    let gateway = builder
        .settings(|settings| {
            settings.rate_limit.enabled = true;
            settings.rate_limit.per_address.requests = 2;
            settings.rate_limit.per_address.period_seconds = 1;
        })
        .start()
        .await;
    let rows = "5.1,3.5,1.4,0.2\n".repeat(5000);
    let folder = Folder::with("rows.csv", &format!("{HEADER}\n{rows}"));
    let output = through(&gateway, &folder, "iris", "--input rows.csv --output out.csv --threads 2").await;
    status(&output, 0);
    assert_eq!(folder.read("out.csv").lines().count(), 5001, "it was asked again after 429");

    let cases = [
        ("sound", "does not take rows"),
        ("nothing", "404 Not Found"),
        ("iris --model-version 9", "no such version is in service"),
    ];
    for (model, part) in cases {
        let said = status(&through(&gateway, &folder, model, "--input rows.csv --output no.csv").await, 1);
        assert!(said.contains(part), "{said}");
    }
    let url = gateway.url("");
    let path = folder.path().to_path_buf();
    let without = tokio::task::spawn_blocking(move || {
        run(
            &["score", "iris", "--url", &url, "--token", "x", "--input", "rows.csv", "--output", "no.csv"],
            &path,
            &[],
        )
    });
    let said = status(&without.await.unwrap(), 1);
    assert!(said.contains("401 Unauthorized") && said.contains("--token-file"), "{said}");
    assert!(!folder.files().contains(&"no.csv".to_owned()));
}

#[test]
fn the_examples_of_the_document_run_as_shown() {
    let page = fs::read_to_string(source_tree().join("docs/scoring.md")).unwrap();
    let mut count = 0;
    for block in page.split("<!-- run: score").skip(1) {
        let (mark, rest) = block.split_once("-->").unwrap();
        let expected = if mark.contains("status 5") { 5 } else { 0 };
        let commands = rest.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
        let folder = Folder::new();
        std::os::unix::fs::symlink(source_tree().join("models"), folder.path().join("models")).unwrap();
        let binary = folder.path().join("onnx-gateway");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_onnx-gateway"), &binary).unwrap();
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", commands]).current_dir(folder.path()).env("PATH", path);
        let output = shell.output().unwrap();
        status(&output, expected);
        // What is shown below the commands is what they print.
        let after = rest.split("```\n").nth(1).unwrap_or_default();
        if let Some(shown) =
            after.trim_start().strip_prefix("```csv\n").or(after.trim_start().strip_prefix("```json\n"))
        {
            assert_eq!(text(&output.stdout).trim_end(), shown.split("```").next().unwrap().trim_end());
        }
        count += 1;
    }
    assert_eq!(count, 3);
}
