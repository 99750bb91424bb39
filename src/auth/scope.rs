//! Scopes: `predict`, `read`, `manage`, each for all models or for one.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::model::ModelName;

/// An operation that requires a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Predicting with a model.
    Predict,
    /// Reading metadata, status and configuration of models.
    Read,
    /// Changing which models and versions serve.
    Manage,
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Predict => "predict",
            Self::Read => "read",
            Self::Manage => "manage",
        })
    }
}

/// One scope, for example `predict` or `predict:iris`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    action: Action,
    model: Option<ModelName>,
}

/// A text that is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope: use predict, read or manage, or one of them for one model as in predict:iris")]
pub struct ScopeError(String);

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let error = || ScopeError(text.to_owned());
        let (action, model) = match text.split_once(':') {
            Some((action, model)) => (action, Some(model.parse().map_err(|_| error())?)),
            None => (text, None),
        };
        let action = match action {
            "predict" => Action::Predict,
            "read" => Action::Read,
            "manage" => Action::Manage,
            _ => return Err(error()),
        };
        Ok(Self { action, model })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.model {
            Some(model) => write!(formatter, "{}:{model}", self.action),
            None => self.action.fmt(formatter),
        }
    }
}

impl Scope {
    /// Returns true if the scope is for all models.
    pub(super) fn is_for_all(&self) -> bool {
        self.model.is_none()
    }

    /// Returns true if this scope permits everything that `other` permits.
    fn covers(&self, other: &Self) -> bool {
        self.action == other.action && (self.model.is_none() || self.model == other.model)
    }
}

/// A set of scopes, written with spaces between (RFC 6749 section 3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Returns the approximate memory in bytes, without the list itself.
    pub(super) fn bytes(&self) -> usize {
        let of =
            |scope: &Scope| size_of::<Scope>() + scope.model.as_ref().map_or(0, |model| model.as_str().len());
        self.0.iter().map(of).sum()
    }

    /// Returns the scopes for every action on every model.
    #[must_use]
    pub fn all() -> Self {
        let scope = |action| Scope { action, model: None };
        Self([Action::Predict, Action::Read, Action::Manage].map(scope).into())
    }

    /// Returns the scopes in a token's claim; those of other services are ignored.
    #[must_use]
    pub fn of_claim(claim: &str) -> Self {
        Self(claim.split(' ').filter_map(|scope| scope.parse().ok()).collect())
    }

    /// Parses scopes that must all be known.
    ///
    /// # Errors
    ///
    /// The first that is not.
    pub fn parse<'s>(scopes: impl IntoIterator<Item = &'s str>) -> Result<Self, ScopeError> {
        scopes.into_iter().map(str::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Returns true if the action is permitted with this model; without a model, with at least one.
    #[must_use]
    pub fn permit(&self, action: Action, model: Option<&ModelName>) -> bool {
        match model {
            Some(model) => self.permitting(action, model).is_some(),
            None => self.0.iter().any(|scope| scope.action == action),
        }
    }

    /// Returns the first scope that permits the action with this model; `None` if none does.
    #[must_use]
    pub fn permitting(&self, action: Action, model: &ModelName) -> Option<&Scope> {
        let permits = |scope: &&Scope| {
            scope.action == action && scope.model.as_ref().is_none_or(|permitted| permitted == model)
        };
        self.0.iter().find(permits)
    }

    /// Returns the models with which the action is permitted, sorted; `None` if it is with all.
    #[must_use]
    pub fn models(&self, action: Action) -> Option<BTreeSet<&ModelName>> {
        self.0.iter().filter(|scope| scope.action == action).map(|scope| scope.model.as_ref()).collect()
    }

    /// Returns true if the action is permitted with every model.
    #[must_use]
    pub fn permit_all(&self, action: Action) -> bool {
        self.0.iter().any(|scope| scope.action == action && scope.model.is_none())
    }

    /// Returns true if these scopes permit everything that `other` permits.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        other.0.iter().all(|scope| self.0.iter().any(|own| own.covers(scope)))
    }
}

impl FromIterator<Self> for Scopes {
    fn from_iter<I: IntoIterator<Item = Self>>(several: I) -> Self {
        Self(several.into_iter().flat_map(|scopes| scopes.0).collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" ")?;
            }
            scope.fmt(formatter)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> ModelName {
        name.parse().unwrap()
    }

    #[test]
    fn a_scope_for_one_model_permits_nothing_with_another() {
        let scopes = Scopes::of_claim("openid predict:iris read");
        assert!(scopes.permit(Action::Predict, Some(&model("iris"))));
        assert!(!scopes.permit(Action::Predict, Some(&model("wine"))));
        assert!(scopes.permit(Action::Predict, None), "there is a model it may predict with");
        assert!(scopes.permit(Action::Read, Some(&model("wine"))));
        assert!(!scopes.permit(Action::Manage, Some(&model("iris"))));
        assert!(scopes.permit_all(Action::Read) && !scopes.permit_all(Action::Predict));
        assert_eq!(scopes.to_string(), "predict:iris read");
    }

    #[test]
    fn models_are_listed_unless_the_action_is_permitted_with_all() {
        let models = |claim| {
            let scopes = Scopes::of_claim(claim);
            scopes.models(Action::Read).map(|models| models.into_iter().cloned().collect::<Vec<_>>())
        };
        assert_eq!(models("read:wine predict read:iris"), Some(vec![model("iris"), model("wine")]));
        assert_eq!((models("read:wine read"), models("predict")), (None, Some(Vec::new())));
    }

    #[test]
    fn nobody_is_given_more_than_they_have() {
        let own = Scopes::of_claim("predict:iris read");
        assert!(own.cover(&Scopes::of_claim("predict:iris")));
        assert!(own.cover(&Scopes::of_claim("read:wine")));
        assert!(!own.cover(&Scopes::of_claim("predict")));
        assert!(!own.cover(&Scopes::of_claim("manage")));
    }

    #[test]
    fn unknown_scopes_are_errors_where_they_are_configured() {
        for bad in ["predicts", "predict:", "predict:a b", "", "Predict"] {
            assert!(Scopes::parse([bad]).is_err(), "{bad}");
        }
    }
}
