//! Matching of a file's columns with those of the model, and the choice of those that are passed through.

use crate::model::{Contract, ElementType, Layout, nearest};

/// The most names that a message lists.
const MAX_LISTED: usize = 20;

/// The columns that go into the model, and those that go into the output.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The columns of the file that the model takes, in its order; empty if they have the model's names.
    pub columns: Vec<String>,
    /// Columns that are passed through even if the model takes them.
    pub keep: Vec<String>,
    /// True if no other column is passed through.
    pub drop: bool,
    /// Begin of the names of the predictions' columns.
    pub prefix: String,
}

/// A column that the model takes.
#[derive(Clone, Debug)]
pub(super) struct ModelColumn {
    pub(super) name: String,
    pub(super) element_type: ElementType,
    /// True if something stands in for a missing value.
    pub(super) may_miss: bool,
}

/// The columns that the model takes, in its order.
#[derive(Clone, Debug)]
pub(super) struct ModelColumns {
    pub(super) columns: Vec<ModelColumn>,
    /// True if they have names; else only their order counts.
    pub(super) are_named: bool,
}

impl ModelColumns {
    /// Derives the columns of a model in this process.
    pub(super) fn of(layout: &Layout, contract: &Contract) -> Self {
        let only = layout.only_column().filter(|_| contract.features.is_empty());
        let column = |index: usize| ModelColumn {
            name: match (contract.features.get(index), only) {
                (Some(feature), _) => feature.name.clone(),
                (None, Some(input)) => input.to_owned(),
                (None, None) => (index + 1).to_string(),
            },
            element_type: layout.element_type(index).unwrap_or(ElementType::String),
            may_miss: layout.fill(index).is_some(),
        };
        Self {
            columns: (0..layout.columns()).map(column).collect(),
            are_named: only.is_some() || !contract.features.is_empty(),
        }
    }

    /// Names the columns as the file does.
    pub(super) fn renamed(mut self, selection: &Selection) -> Result<Self, Vec<String>> {
        let names = &selection.columns;
        if names.is_empty() {
            return Ok(self);
        }
        if names.len() != self.columns.len() {
            let (given, taken) = (names.len(), self.columns.len());
            let own = if self.are_named { format!(" ({})", listed(self.names())) } else { String::new() };
            return Err(vec![format!("--columns names {given} columns, the model takes {taken}{own}")]);
        }
        for (column, name) in self.columns.iter_mut().zip(names) {
            column.name.clone_from(name);
        }
        self.are_named = true;
        Ok(self)
    }

    /// Iterates over the names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }
}

/// The columns of a file, matched with those of the model.
#[derive(Clone, Debug)]
pub(super) struct FileColumns {
    /// For each column of the model, the column of the file; `None` if the file does not have it.
    pub(super) sources: Vec<Option<usize>>,
    /// For each column of the model, its name in the file.
    pub(super) names: Vec<String>,
    /// For each column of the model, the type of its values.
    pub(super) types: Vec<ElementType>,
    /// The columns that are passed through, and their names.
    pub(super) kept: Vec<(usize, String)>,
}

impl FileColumns {
    /// Matches the columns of a file that has these names, or none.
    ///
    /// # Errors
    ///
    /// A line for each fault.
    pub(super) fn of(
        file: Option<&[String]>,
        count: usize,
        model: &ModelColumns,
        selection: &Selection,
    ) -> Result<Self, Vec<String>> {
        let types = model.columns.iter().map(|column| column.element_type).collect();
        let Some(file) = file.filter(|_| model.are_named) else {
            let names = by_position(file, count, model)?;
            let kept = kept(&names, &[], selection)?;
            return Ok(Self { sources: (0..names.len()).map(Some).collect(), names, types, kept });
        };
        let mut faults = Vec::new();
        let position = |name: &str| file.iter().position(|column| column == name);
        let sources: Vec<Option<usize>> = model.names().map(position).collect();
        let others: Vec<&str> =
            file.iter().map(String::as_str).filter(|name| !model.names().any(|own| own == *name)).collect();
        for (column, source) in model.columns.iter().zip(&sources) {
            let near = nearest(&column.name, others.iter().copied());
            if source.is_none() && !(column.may_miss && near.is_none()) {
                faults.push(missing(&column.name, near, file));
            }
        }
        let used = |index: &usize| sources.contains(&Some(*index));
        let used: Vec<usize> = (0..file.len()).filter(used).collect();
        let kept = kept(file, &used, selection).unwrap_or_else(|unknown| {
            faults.extend(unknown);
            Vec::new()
        });
        let is_taken = |index: usize| used.contains(&index) || kept.iter().any(|(kept, _)| *kept == index);
        for (index, name) in file.iter().enumerate().filter(|(index, _)| is_taken(*index)) {
            if file.iter().take(index).filter(|before| *before == name).count() == 1 {
                faults.push(format!("the column `{name}` occurs more than once"));
            }
        }
        let names = model.names().map(str::to_owned).collect();
        if faults.is_empty() { Ok(Self { sources, names, types, kept }) } else { Err(faults) }
    }
}

/// Names the columns of a file whose order counts.
fn by_position(
    file: Option<&[String]>,
    count: usize,
    model: &ModelColumns,
) -> Result<Vec<String>, Vec<String>> {
    let taken = model.columns.len();
    if count != taken {
        let advice = match file {
            Some(_) => {
                "the model names no features: name the columns that it takes with --columns, or its features in the \
                 contract"
            }
            None => "without names, the columns are those of the model, in its order",
        };
        return Err(vec![format!("expected {taken} columns, got {count}: {advice}")]);
    }
    Ok(file.map_or_else(|| model.names().map(str::to_owned).collect(), <[String]>::to_vec))
}

fn missing(name: &str, near: Option<&str>, file: &[String]) -> String {
    if let Some(near) = near {
        return format!("there is no column `{name}`, which the model takes: did you mean `{near}`?");
    }
    let file = listed(file.iter().map(String::as_str));
    format!("there is no column `{name}`, which the model takes: the columns are {file}")
}

/// Selects the columns that are passed through, in the order of the file.
fn kept(file: &[String], used: &[usize], selection: &Selection) -> Result<Vec<(usize, String)>, Vec<String>> {
    let names = || file.iter().map(String::as_str);
    let unknown =
        selection.keep.iter().filter(|name| !file.contains(name)).map(|name| match nearest(name, names()) {
            Some(near) => format!("--keep: there is no column `{name}`: did you mean `{near}`?"),
            None => format!("--keep: there is no column `{name}`: the columns are {}", listed(names())),
        });
    let unknown: Vec<String> = unknown.collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    // By position, the model takes every column.
    let is_free = |index: usize| !used.is_empty() && !used.contains(&index);
    let is_kept = |(index, name): &(usize, &String)| {
        selection.keep.contains(name) || (!selection.drop && is_free(*index))
    };
    Ok(file.iter().enumerate().filter(is_kept).map(|(index, name)| (index, name.clone())).collect())
}

/// Lists names for people.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MAX_LISTED) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(names: &[&str], are_named: bool) -> ModelColumns {
        let column = |name: &&str| ModelColumn {
            name: (*name).to_owned(),
            element_type: ElementType::F32,
            may_miss: name.starts_with("maybe"),
        };
        ModelColumns { columns: names.iter().map(column).collect(), are_named }
    }

    fn of(file: &[&str], model: &ModelColumns, selection: &Selection) -> Result<FileColumns, Vec<String>> {
        let file: Vec<String> = file.iter().map(|name| (*name).to_owned()).collect();
        FileColumns::of(Some(&file), file.len(), model, selection)
    }

    #[test]
    fn columns_are_matched_by_name_and_the_others_are_passed_through() {
        let named = model(&["height", "maybe_width"], true);
        let columns = of(&["id", "height", "note"], &named, &Selection::default()).unwrap();
        assert_eq!(columns.sources, [Some(1), None]);
        assert_eq!(columns.kept, [(0, "id".to_owned()), (2, "note".to_owned())]);
        let selection = Selection { keep: vec!["height".to_owned()], drop: true, ..Selection::default() };
        assert_eq!(of(&["id", "height"], &named, &selection).unwrap().kept, [(1, "height".to_owned())]);
    }

    #[test]
    fn a_missing_column_is_named_with_the_nearest() {
        let named = model(&["height", "maybe_width"], true);
        let faults = of(&["hieght", "maybe_widht"], &named, &Selection::default()).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(
            faults[0].contains("`height`") && faults[0].ends_with("did you mean `hieght`?"),
            "{faults:?}"
        );
        let faults = of(&["id"], &named, &Selection::default()).unwrap_err();
        assert!(faults[0].ends_with("the columns are `id`"), "{faults:?}");
        let twice = of(&["height", "height"], &named, &Selection::default()).unwrap_err();
        assert_eq!(twice, ["the column `height` occurs more than once"]);
        let selection = Selection { keep: vec!["di".to_owned()], ..Selection::default() };
        let faults = of(&["id", "height"], &named, &selection).unwrap_err();
        assert_eq!(faults, ["--keep: there is no column `di`: did you mean `id`?"]);
    }

    #[test]
    fn without_names_the_order_counts_and_there_are_no_other_columns() {
        let unnamed = model(&["1", "2"], false);
        let columns = of(&["a", "b"], &unnamed, &Selection::default()).unwrap();
        assert_eq!((columns.sources.len(), columns.kept.len()), (2, 0));
        let faults = of(&["id", "a", "b"], &unnamed, &Selection::default()).unwrap_err();
        assert!(faults[0].starts_with("expected 2 columns, got 3: "), "{faults:?}");
        let selection = Selection { columns: vec!["b".to_owned(), "a".to_owned()], ..Selection::default() };
        let renamed = unnamed.renamed(&selection).unwrap();
        let columns = of(&["id", "a", "b"], &renamed, &selection).unwrap();
        assert_eq!(columns.sources, [Some(2), Some(1)]);
        assert_eq!(columns.kept, [(0, "id".to_owned())]);
    }
}
