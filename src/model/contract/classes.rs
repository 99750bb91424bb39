//! Matching of the class names in a contract with the labels in the graph.

use super::{Contract, ContractError};
use crate::model::{Dimension, Labels, Layout, Output, Signature};

/// Most names that a message lists.
const MAX_LISTED: usize = 10;

/// Checks that the class names match the labels and outputs of the model.
///
/// # Errors
///
/// [`ContractError::Invalid`] when the numbers of names and classes differ, or when names are labels of other classes.
pub(super) fn check(
    contract: &Contract,
    signature: &Signature,
    layout: &Layout,
) -> Result<(), ContractError> {
    let names = &contract.classes;
    if names.is_empty() {
        return Ok(());
    }
    let lists = contract.graph.labels.iter().chain(&contract.graph.score_labels);
    for labels in lists {
        check_labels(names, labels)?;
    }
    if contract.graph.labels.is_some() {
        return Ok(());
    }
    let outputs = signature.outputs.iter().zip(&layout.outputs);
    for (spec, _) in outputs.filter(|(_, role)| **role == Output::Probabilities) {
        if let Some((_, [_, Dimension::Fixed(columns)])) = spec.as_tensor()
            && *columns != names.len()
        {
            let (count, output) = (names.len(), &spec.name);
            return Err(ContractError::Invalid(format!(
                "`classes` has {count} names, the output `{output}` has {columns} columns: name each class once"
            )));
        }
    }
    Ok(())
}

fn check_labels(names: &[String], labels: &Labels) -> Result<(), ContractError> {
    let labels = labels.names();
    if names.len() != labels.len() {
        return Err(ContractError::Invalid(format!(
            "`classes` has {} names, the graph has {} labels ({}): name each class once, in this order",
            names.len(),
            labels.len(),
            listed(&labels)
        )));
    }
    let swapped = names.iter().zip(&labels).find(|(name, label)| name != label && labels.contains(name));
    match swapped {
        Some((name, label)) => Err(ContractError::Invalid(format!(
            "`classes` calls the label `{label}` `{name}`, which is another label of the graph: its labels are, in this \
             order, {}",
            listed(&labels)
        ))),
        None => Ok(()),
    }
}

fn listed(labels: &[String]) -> String {
    let shown = labels.get(..MAX_LISTED).unwrap_or(labels);
    let more = labels.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(names: &[&str], labels: &Labels) -> Option<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        check_labels(&names, labels).err().map(|error| error.to_string())
    }

    #[test]
    fn names_go_with_as_many_labels_and_none_is_another_class() {
        let numbers = || Labels::Integers(vec![1, 2, 3]);
        assert_eq!(problem(&["low", "mid", "high"], &numbers()), None);
        assert_eq!(problem(&["1", "2", "3"], &numbers()), None);
        assert!(
            problem(&["low", "high"], &numbers())
                .unwrap()
                .contains("2 names, the graph has 3 labels (1, 2, 3)")
        );
        assert!(problem(&["0", "1", "2"], &numbers()).unwrap().contains("calls the label `2` `1`"));
        let texts = || Labels::Texts(vec!["no".to_owned(), "yes".to_owned()]);
        assert_eq!(problem(&["nein", "ja"], &texts()), None);
        assert!(problem(&["yes", "no"], &texts()).unwrap().contains("calls the label `no` `yes`"));
    }
}
