//! Rows of any format: their reader, and what workers know of them.

use std::{collections::HashSet, fs::File, io};

use serde_json::value::RawValue;

use crate::model::Cell;
use crate::scoring::{
    Format, Job, Stream,
    block::{Block, Content, Parsed},
    column::{Column, Texts},
    csv::CsvRows,
    encode::{CellSource, Checker, Encoder},
    error::ScoringError,
    file_columns::{FileColumns, ModelColumns, Selection},
    json_lines::JsonRows,
    outputs::OutputPath,
    row_error::raw_object,
    stored::StoredColumn,
    stored_file::StoredReader,
    text_reader::{Records, TextReader, lines},
};

/// A reader of blocks.
pub(super) struct RowReader {
    source: Source,
    /// A block that was read to find the columns.
    first: Option<Block>,
    /// The size of the input in bytes or rows; `None` if it is unknown.
    total: Option<u64>,
    index: u64,
}

enum Source {
    Text(TextReader),
    Stored(Box<StoredReader>),
}

/// The columns of the input, by its format.
#[derive(Debug)]
pub(super) enum Rows {
    Csv(CsvRows),
    JsonLines(JsonRows),
    Parquet(StoredRows),
}

/// The columns of a Parquet file.
#[derive(Debug)]
pub(super) struct StoredRows {
    /// The columns, whose sources are places among those that are read.
    columns: FileColumns,
    /// The names of the columns that are read.
    names: Vec<String>,
    /// The columns that are read, without rows.
    empty: Vec<StoredColumn>,
}

impl RowReader {
    /// Opens the input and matches its columns with those of the model.
    pub(super) fn open(
        job: &Job,
        model: &ModelColumns,
        outputs: &[OutputPath],
    ) -> Result<(Self, Rows), ScoringError> {
        let (selection, stream) = (&job.selection, &job.input.stream);
        match job.input.format {
            Format::Csv => {
                let (mut reader, name, total) = open_text(stream, Records::Csv(job.csv.delimiter))?;
                let rows = CsvRows::open(&mut reader, job.csv, &name, model, selection)?;
                let empty = "it is empty: the first line must name the columns";
                let rows = rows.ok_or_else(|| ScoringError::input(&name, empty))?;
                Ok((Self { source: Source::Text(reader), first: None, total, index: 0 }, Rows::Csv(rows)))
            }
            Format::JsonLines => {
                let (mut reader, name, total) = open_text(stream, Records::Lines)?;
                let first = reader.next()?;
                let text = match first.as_ref().map(|block| &block.content) {
                    Some(Content::Text(text)) => text.as_slice(),
                    _ => &[],
                };
                let taken = (job.output.format == Format::JsonLines).then(|| taken(outputs, selection));
                let rows = JsonRows::open(text, &name, model, selection, taken)?;
                Ok((Self { source: Source::Text(reader), first, total, index: 0 }, Rows::JsonLines(rows)))
            }
            Format::Parquet => {
                let Stream::File(path) = stream else {
                    let problem = "Parquet cannot be read from it, as the index is at the end: name a file";
                    return Err(ScoringError::input("standard input", problem));
                };
                let name = path.display().to_string();
                let file = File::open(path).map_err(|error| ScoringError::input(&name, error.to_string()))?;
                let mut reader = StoredReader::open(file, &name)?;
                let rows = StoredRows::open(&mut reader, model, selection)?;
                let total = Some(reader.rows());
                let source = Source::Stored(Box::new(reader));
                Ok((Self { source, first: None, total, index: 0 }, Rows::Parquet(rows)))
            }
        }
    }

    /// Returns the next block; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Block>, ScoringError> {
        let block = match (self.first.take(), &mut self.source) {
            (Some(first), _) => Some(first),
            (None, Source::Text(reader)) => reader.next()?,
            (None, Source::Stored(reader)) => reader.next()?,
        };
        self.index += u64::from(block.is_some());
        Ok(block)
    }

    /// Returns the place of the next block.
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// Returns the columns that would pass through if they were not lists or structures.
    pub(super) fn nested(&self, selection: &Selection) -> Vec<String> {
        match &self.source {
            Source::Stored(reader) if !selection.drop => reader.nested(),
            _ => Vec::new(),
        }
    }
}

/// Opens text, and returns its name and size.
fn open_text(stream: &Stream, records: Records) -> Result<(TextReader, String, Option<u64>), ScoringError> {
    match stream {
        Stream::Standard => {
            let name = "standard input".to_owned();
            Ok((TextReader::new(Box::new(io::stdin()), name.clone(), records)?, name, None))
        }
        Stream::File(path) => {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| ScoringError::input(&name, error.to_string()))?;
            let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file);
            let reader = TextReader::new(Box::new(file), name.clone(), records)?;
            Ok((reader, name, metadata.map(|metadata| metadata.len())))
        }
    }
}

/// Returns the members that the output has of its own.
fn taken(outputs: &[OutputPath], selection: &Selection) -> HashSet<String> {
    let usual = ["prediction", "probabilities", "outputs"].map(str::to_owned);
    let members = outputs.iter().map(|path| path.member.clone());
    // A gateway shows only later which it has.
    let members: Vec<String> = if outputs.is_empty() { usual.to_vec() } else { members.collect() };
    members.into_iter().map(|member| format!("{}{member}", selection.prefix)).collect()
}

impl Rows {
    /// Reads the rows of a block.
    pub(super) fn parse(&self, block: &Block, model: Checker<'_>) -> Parsed {
        match (self, &block.content) {
            (Self::Csv(rows), Content::Text(text)) => rows.parse(text, block.rows, model),
            (Self::JsonLines(rows), Content::Text(text)) => rows.parse(text, block.rows, model),
            (Self::Parquet(rows), Content::Columns(columns)) => rows.parse(columns, block.rows, model),
            (
                Self::Csv(CsvRows { columns, .. }) | Self::JsonLines(JsonRows { columns, .. }),
                Content::Columns(_),
            )
            | (Self::Parquet(StoredRows { columns, .. }), Content::Text(_)) => {
                let encoded = Encoder::new(model, columns, 0).finish();
                Parsed { places: Vec::new(), encoded, kept: Vec::new() }
            }
        }
    }

    fn columns(&self) -> &FileColumns {
        match self {
            Self::Csv(rows) => &rows.columns,
            Self::JsonLines(rows) => &rows.columns,
            Self::Parquet(rows) => &rows.columns,
        }
    }

    /// Returns the names of the model's columns in the input.
    pub(super) fn names(&self) -> &[String] {
        &self.columns().names
    }

    /// Returns the names of the columns that are passed through.
    pub(super) fn kept_names(&self) -> Vec<String> {
        self.columns().kept.iter().map(|(_, name)| name.clone()).collect()
    }

    /// Returns the columns that are passed through, without rows.
    pub(super) fn kept_columns(&self, output: Format) -> Vec<Column> {
        let kept = &self.columns().kept;
        match self {
            Self::Csv(_) => kept.iter().map(|_| Column::Texts(Texts::default())).collect(),
            Self::JsonLines(_) if output == Format::JsonLines => vec![Column::Members(Texts::default())],
            Self::JsonLines(_) => kept.iter().map(|_| Column::Json(Texts::default())).collect(),
            Self::Parquet(rows) => kept
                .iter()
                .filter_map(|(place, _)| rows.empty.get(*place).cloned().map(Column::Stored))
                .collect(),
        }
    }

    /// Returns the line of a row in the file, if it has lines, and the row as JSON.
    pub(super) fn shown(
        &self,
        block: &Block,
        row: usize,
        place: Option<(usize, usize)>,
    ) -> (Option<u64>, Box<RawValue>) {
        match (self, &block.content, place) {
            (Self::Parquet(rows), Content::Columns(columns), _) => (None, rows.shown(columns, row)),
            (_, Content::Text(text), Some((begin, end))) => {
                let line = block.first_line + lines(text.get(..begin).unwrap_or_default());
                let record = text.get(begin..end).unwrap_or_default();
                let shown = match self {
                    Self::Csv(rows) => rows.shown(record),
                    _ => JsonRows::shown(record),
                };
                (Some(line), shown)
            }
            _ => (None, RawValue::NULL.to_owned()),
        }
    }
}

impl StoredRows {
    fn open(
        reader: &mut StoredReader,
        model: &ModelColumns,
        selection: &Selection,
    ) -> Result<Self, ScoringError> {
        let file = reader.names();
        let mut columns = FileColumns::of(Some(&file), file.len(), model, selection)
            .map_err(|faults| ScoringError::Columns { faults })?;
        let sources = columns.sources.iter().copied().flatten();
        let mut selected: Vec<usize> = sources.chain(columns.kept.iter().map(|(place, _)| *place)).collect();
        selected.sort_unstable();
        selected.dedup();
        let place = |column: usize| selected.iter().position(|own| *own == column);
        for source in &mut columns.sources {
            *source = source.and_then(place);
        }
        for (source, _) in &mut columns.kept {
            *source = place(*source).unwrap_or_default();
        }
        let names = selected.iter().filter_map(|index| file.get(*index).cloned()).collect();
        let empty = reader.select(selected);
        Ok(Self { columns, names, empty })
    }

    fn parse(&self, columns: &[StoredColumn], rows: usize, model: Checker<'_>) -> Parsed {
        let mut encoder = Encoder::new(model, &self.columns, rows);
        let sources: Vec<Option<&StoredColumn>> =
            self.columns.sources.iter().map(|source| columns.get((*source)?)).collect();
        for row in 0..rows {
            encoder.push(&StoredRow { sources: &sources, row });
        }
        let kept = self.columns.kept.iter().filter_map(|(place, _)| columns.get(*place).cloned());
        Parsed { places: Vec::new(), encoded: encoder.finish(), kept: kept.map(Column::Stored).collect() }
    }

    fn shown(&self, columns: &[StoredColumn], row: usize) -> Box<RawValue> {
        let value = |column: &StoredColumn| {
            let mut json = Vec::new();
            column.write_json(row, &mut json);
            serde_json::from_slice::<Box<RawValue>>(&json).ok()
        };
        raw_object(self.names.iter().zip(columns.iter().map(value)))
    }
}

struct StoredRow<'r> {
    sources: &'r [Option<&'r StoredColumn>],
    row: usize,
}

impl CellSource for StoredRow<'_> {
    fn number(&self, column: usize) -> Option<f64> {
        self.sources.get(column).copied().flatten()?.number(self.row)
    }

    fn cell(&self, column: usize) -> Cell {
        self.sources.get(column).copied().flatten().map_or(Cell::Null, |source| source.cell(self.row))
    }
}
