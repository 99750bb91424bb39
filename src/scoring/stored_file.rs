//! Parquet files, read and written column by column.
//!
//! Pages are read as they are needed, and rows are collected for a row group of bounded size, so memory does not grow
//! with the file.

use std::{fs::File, io::Write, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as PhysicalType},
    column::{reader::ColumnReader, reader::ColumnReaderImpl},
    data_type::{
        BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType,
        Int32Type, Int64Type, Int96Type,
    },
    errors::{ParquetError, Result as ParquetResult},
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{ColumnDescPtr, Type, TypePtr},
};

use super::{
    BLOCK_ROWS,
    block::{Block, Content},
    column::{Column, Texts},
    error::ScoringError,
    stored::{StoredColumn, StoredValues},
};

/// Rows of a row group that is written.
const GROUP_ROWS: usize = 128 << 10;

/// Bytes from which a row group of fewer rows is written.
const GROUP_BYTES: usize = 32 << 20;

/// A reader of some columns of a Parquet file.
pub(super) struct StoredReader {
    reader: SerializedFileReader<File>,
    file: String,
    /// The columns that hold at most one value a row, by their place in the file.
    flat: Vec<usize>,
    /// The columns that are read, by their place among the flat ones.
    selected: Vec<usize>,
    readers: Vec<ColumnReader>,
    group: usize,
    left_in_group: usize,
    index: u64,
    row: u64,
}

impl StoredReader {
    /// Opens a file.
    pub(super) fn open(file: File, name: &str) -> Result<Self, ScoringError> {
        let reader = SerializedFileReader::new(file)
            .map_err(|error| ScoringError::input(name, not_parquet(&error)))?;
        let columns = reader.metadata().file_metadata().schema_descr().columns();
        let flat = (0..columns.len()).filter(|index| columns.get(*index).is_some_and(is_flat)).collect();
        Ok(Self {
            reader,
            file: name.to_owned(),
            flat,
            selected: Vec::new(),
            readers: Vec::new(),
            group: 0,
            left_in_group: 0,
            index: 0,
            row: 1,
        })
    }

    /// Returns the names of the columns that hold at most one value a row.
    pub(super) fn names(&self) -> Vec<String> {
        self.flat.iter().map(|index| self.descriptor(*index).path().parts().join(".")).collect()
    }

    /// Returns the names of the other columns.
    pub(super) fn nested(&self) -> Vec<String> {
        let columns = self.reader.metadata().file_metadata().schema_descr().columns();
        let mut names: Vec<String> = columns
            .iter()
            .filter(|descriptor| !is_flat(descriptor))
            .filter_map(|descriptor| descriptor.path().parts().first().cloned())
            .collect();
        names.dedup();
        names
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> u64 {
        u64::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// Selects the columns to be read, by their place among [`StoredReader::names`], and returns them without rows.
    pub(super) fn select(&mut self, selected: Vec<usize>) -> Vec<StoredColumn> {
        self.selected = selected;
        let empty = |place: &usize| {
            let descriptor = self.descriptor(self.flat.get(*place).copied().unwrap_or_default());
            let values = match descriptor.physical_type() {
                PhysicalType::BOOLEAN => StoredValues::Bool(Vec::new()),
                PhysicalType::INT32 => StoredValues::I32(Vec::new()),
                PhysicalType::INT64 => StoredValues::I64(Vec::new()),
                PhysicalType::INT96 => StoredValues::I96(Vec::new()),
                PhysicalType::FLOAT => StoredValues::F32(Vec::new()),
                PhysicalType::DOUBLE => StoredValues::F64(Vec::new()),
                PhysicalType::BYTE_ARRAY => StoredValues::Bytes(Vec::new()),
                PhysicalType::FIXED_LEN_BYTE_ARRAY => StoredValues::Fixed(Vec::new()),
            };
            StoredColumn { descriptor, values, has_value: Vec::new() }
        };
        self.selected.iter().map(empty).collect()
    }

    /// Returns the next block; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Block>, ScoringError> {
        let read = self.read();
        read.map_err(|error| {
            let row = self.row;
            ScoringError::input(&self.file, format!("it cannot be read from row {row}: {error}"))
        })
    }

    fn read(&mut self) -> ParquetResult<Option<Block>> {
        while self.left_in_group == 0 {
            if self.group >= self.reader.num_row_groups() {
                return Ok(None);
            }
            let group = self.reader.get_row_group(self.group)?;
            let columns = self.selected.iter().filter_map(|place| self.flat.get(*place));
            self.readers =
                columns.map(|index| group.get_column_reader(*index)).collect::<ParquetResult<_>>()?;
            self.left_in_group = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
            self.group += 1;
        }
        let rows = self.left_in_group.min(BLOCK_ROWS);
        self.left_in_group -= rows;
        let schema = self.reader.metadata().file_metadata().schema_descr_ptr();
        let places = self.selected.iter().filter_map(|place| self.flat.get(*place));
        let columns = self
            .readers
            .iter_mut()
            .zip(places)
            .map(|(reader, index)| read_column(reader, schema.column(*index), rows))
            .collect::<ParquetResult<_>>()?;
        let first_row = self.row;
        self.row += u64::try_from(rows).unwrap_or_default();
        let (index, done) = (self.index, self.row - 1);
        self.index += 1;
        Ok(Some(Block { index, first_row, first_line: 0, rows, done, content: Content::Columns(columns) }))
    }

    fn descriptor(&self, index: usize) -> ColumnDescPtr {
        self.reader.metadata().file_metadata().schema_descr().column(index)
    }
}

/// Returns true if the column holds at most one value a row.
fn is_flat(descriptor: &ColumnDescPtr) -> bool {
    descriptor.max_rep_level() == 0
}

fn not_parquet(error: &ParquetError) -> String {
    format!("it cannot be read as Parquet: {error}")
}

fn read_column(
    reader: &mut ColumnReader,
    descriptor: ColumnDescPtr,
    rows: usize,
) -> ParquetResult<StoredColumn> {
    macro_rules! by_type {
        ($($reader:ident => $values:ident;)*) => {
            match reader {
                $(ColumnReader::$reader(reader) => {
                    let (values, has_value) = read_values(reader, &descriptor, rows)?;
                    (StoredValues::$values(values), has_value)
                })*
            }
        };
    }
    let (values, has_value) = by_type! {
        BoolColumnReader => Bool;
        Int32ColumnReader => I32;
        Int64ColumnReader => I64;
        Int96ColumnReader => I96;
        FloatColumnReader => F32;
        DoubleColumnReader => F64;
        ByteArrayColumnReader => Bytes;
        FixedLenByteArrayColumnReader => Fixed;
    };
    Ok(StoredColumn { descriptor, values, has_value })
}

/// Reads values, and spreads them over the rows if some have none.
fn read_values<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    descriptor: &ColumnDescPtr,
    rows: usize,
) -> ParquetResult<(Vec<T::T>, Vec<bool>)> {
    let most = descriptor.max_def_level();
    let (mut values, mut levels) = (Vec::with_capacity(rows), Vec::new());
    let (read, _, _) = reader.read_records(rows, (most > 0).then_some(&mut levels), None, &mut values)?;
    if read != rows {
        return Err(ParquetError::General(format!("expected {rows} more rows, got {read}")));
    }
    if values.len() == rows {
        return Ok((values, Vec::new()));
    }
    let has_value: Vec<bool> = levels.iter().map(|level| *level == most).collect();
    let mut values = values.into_iter();
    let spread =
        has_value.iter().map(|has| if *has { values.next().unwrap_or_default() } else { T::T::default() });
    Ok((spread.collect(), has_value))
}

/// A writer of a Parquet file.
pub(super) struct StoredWriter {
    writer: SerializedFileWriter<Box<dyn Write + Send>>,
    /// Rows of the next row group.
    pending: Vec<Column>,
}

impl StoredWriter {
    /// Creates a writer for columns of these names and types.
    pub(super) fn new(
        output: Box<dyn Write + Send>,
        names: &[String],
        columns: Vec<Column>,
    ) -> ParquetResult<Self> {
        let fields = names.iter().zip(&columns).map(|(name, column)| field(name, column));
        let fields = fields.collect::<ParquetResult<Vec<TypePtr>>>()?;
        let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(output, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { writer, pending: columns })
    }

    /// Adds rows.
    pub(super) fn write(&mut self, columns: &[Column]) -> ParquetResult<()> {
        for (own, column) in self.pending.iter_mut().zip(columns) {
            let other = || ParquetError::General("a column changed its type".to_owned());
            own.append(column).ok_or_else(other)?;
        }
        let rows = self.pending.first().map_or(0, Column::len);
        let bytes: usize = self.pending.iter().map(Column::bytes).sum();
        if rows >= GROUP_ROWS || bytes >= GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the last rows and the index.
    pub(super) fn finish(mut self) -> ParquetResult<()> {
        if self.pending.first().is_some_and(|column| column.len() > 0) {
            self.flush()?;
        }
        self.writer.finish()?;
        self.writer.inner_mut().flush()?;
        Ok(())
    }

    fn flush(&mut self) -> ParquetResult<()> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.pending {
            let full = std::mem::replace(column, column.empty());
            if let Some(mut writer) = group.next_column()? {
                write_column(&mut writer, full)?;
                writer.close()?;
            }
        }
        group.close()?;
        Ok(())
    }
}

fn field(name: &str, column: &Column) -> ParquetResult<TypePtr> {
    let primitive =
        |physical| Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED);
    let built = match column {
        Column::Texts(_) => primitive(PhysicalType::BYTE_ARRAY).with_logical_type(Some(LogicalType::String)),
        Column::Json(_) | Column::Members(_) => primitive(PhysicalType::BYTE_ARRAY)
            .with_logical_type(Some(LogicalType::String))
            .with_repetition(Repetition::OPTIONAL),
        Column::Integers(_) => primitive(PhysicalType::INT64),
        Column::Unsigned(_) => {
            primitive(PhysicalType::INT64).with_logical_type(Some(LogicalType::integer(64, false)))
        }
        Column::Singles(_) => primitive(PhysicalType::FLOAT),
        Column::Doubles(_) => primitive(PhysicalType::DOUBLE),
        Column::Bools(_) => primitive(PhysicalType::BOOLEAN),
        Column::Stored(stored) => return stored_field(name, &stored.descriptor),
        Column::Lists(items, _) => {
            let list = Type::group_type_builder("list")
                .with_repetition(Repetition::REPEATED)
                .with_fields(vec![field("element", items)?])
                .build()?;
            return Type::group_type_builder(name)
                .with_repetition(Repetition::REQUIRED)
                .with_logical_type(Some(LogicalType::List))
                .with_fields(vec![Arc::new(list)])
                .build()
                .map(Arc::new);
        }
    };
    built.build().map(Arc::new)
}

/// Returns the field of a column that is passed through, with its type.
fn stored_field(name: &str, descriptor: &ColumnDescPtr) -> ParquetResult<TypePtr> {
    let is_required = descriptor.max_def_level() == 0;
    let repetition = if is_required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
    let built = Type::primitive_type_builder(name, descriptor.physical_type())
        .with_repetition(repetition)
        .with_converted_type(descriptor.converted_type())
        .with_logical_type(descriptor.logical_type_ref().cloned())
        .with_length(descriptor.type_length())
        .with_precision(descriptor.type_precision())
        .with_scale(descriptor.type_scale());
    built.build().map(Arc::new)
}

fn write_column(writer: &mut SerializedColumnWriter<'_>, column: Column) -> ParquetResult<()> {
    match column {
        Column::Lists(items, ends) => {
            let (mut definitions, mut repetitions) = (Vec::new(), Vec::new());
            let mut begin = 0;
            for end in ends {
                let items = end - begin;
                // An empty list has one level, which says so.
                definitions.resize(definitions.len() + items.max(1), i16::from(items > 0));
                repetitions.push(0);
                repetitions.resize(definitions.len(), 1);
                begin = end;
            }
            write_values(writer, *items, Some(&definitions), Some(&repetitions))
        }
        Column::Json(texts) | Column::Members(texts) => {
            let levels: Vec<i16> = texts.iter().map(|text| i16::from(!is_absent(text))).collect();
            let present = texts.iter().filter(|text| !is_absent(text));
            let values: Vec<ByteArray> = present.map(|text| ByteArray::from(unquoted(text))).collect();
            writer.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
            Ok(())
        }
        Column::Stored(stored) => write_stored(writer, stored),
        other => write_values(writer, other, None, None),
    }
}

fn write_values(
    writer: &mut SerializedColumnWriter<'_>,
    column: Column,
    definitions: Option<&[i16]>,
    repetitions: Option<&[i16]>,
) -> ParquetResult<()> {
    macro_rules! batch {
        ($type:ty, $values:expr) => {
            writer.typed::<$type>().write_batch($values, definitions, repetitions)
        };
    }
    match column {
        Column::Texts(texts) => batch!(ByteArrayType, &shared(texts)),
        Column::Integers(numbers) => batch!(Int64Type, &numbers),
        Column::Unsigned(numbers) => {
            let numbers: Vec<i64> = numbers.into_iter().map(u64::cast_signed).collect();
            batch!(Int64Type, &numbers)
        }
        Column::Singles(numbers) => batch!(FloatType, &numbers),
        Column::Doubles(numbers) => batch!(DoubleType, &numbers),
        Column::Bools(truths) => batch!(BoolType, &truths),
        Column::Json(_) | Column::Members(_) | Column::Lists(..) | Column::Stored(_) => {
            return Err(ParquetError::General("a list in a list".to_owned()));
        }
    }?;
    Ok(())
}

fn write_stored(writer: &mut SerializedColumnWriter<'_>, stored: StoredColumn) -> ParquetResult<()> {
    let StoredColumn { descriptor, values, has_value } = stored;
    let is_optional = descriptor.max_def_level() > 0;
    macro_rules! by_type {
        ($($values:ident => $type:ty;)*) => {
            match values {
                $(StoredValues::$values(mut values) => {
                    let mut levels = vec![1; if is_optional { values.len() } else { 0 }];
                    if !has_value.is_empty() {
                        levels = has_value.iter().map(|has| i16::from(*has)).collect();
                        let mut marks = has_value.iter();
                        values.retain(|_| marks.next().is_some_and(|has| *has));
                    }
                    writer.typed::<$type>().write_batch(&values, is_optional.then_some(levels.as_slice()), None)
                })*
            }
        };
    }
    by_type! {
        Bool => BoolType;
        I32 => Int32Type;
        I64 => Int64Type;
        I96 => Int96Type;
        F32 => FloatType;
        F64 => DoubleType;
        Bytes => ByteArrayType;
        Fixed => FixedLenByteArrayType;
    }?;
    Ok(())
}

/// Returns texts as values that share one buffer.
fn shared(texts: Texts) -> Vec<ByteArray> {
    let (bytes, ends) = texts.into_parts();
    let bytes = Bytes::from(bytes);
    let mut begin = 0;
    let text = |end: usize| ByteArray::from(bytes.slice(std::mem::replace(&mut begin, end)..end));
    ends.into_iter().map(text).collect()
}

/// Returns true if a JSON text stands for no value.
pub(super) fn is_absent(json: &[u8]) -> bool {
    json.is_empty() || json == b"null"
}

/// Returns the contents of a JSON string, or any other JSON as it is.
pub(super) fn unquoted(json: &[u8]) -> Vec<u8> {
    let text = json.starts_with(b"\"").then(|| serde_json::from_slice::<String>(json).ok()).flatten();
    text.map_or_else(|| json.to_vec(), String::into_bytes)
}
