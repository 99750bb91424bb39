//! Proofs of permission, as types.
//!
//! Nothing runs a model without a [`RunPermit`]. Requests get one from [`Authorized`], which only the check of a caller's
//! scopes creates. The gateway's own runs get one from a constructor that names their reason.

use std::{marker::PhantomData, ops::Deref, sync::Arc};

use super::{Action, Caller};
use crate::model::ModelName;

/// An action, as a type.
pub trait Permission: Send {
    /// The action whose scope is needed.
    const ACTION: Action;
}

/// Running a model.
#[derive(Debug)]
pub struct MayPredict;

impl Permission for MayPredict {
    const ACTION: Action = Action::Predict;
}

/// Reading the metadata of a model.
#[derive(Debug)]
pub struct MayRead;

impl Permission for MayRead {
    const ACTION: Action = Action::Read;
}

/// Changing the versions of a model that are in service.
#[derive(Debug)]
pub struct MayManage;

impl Permission for MayManage {
    const ACTION: Action = Action::Manage;
}

/// Something that belongs to one model.
pub trait OfModel {
    /// Returns the name of the model.
    fn model(&self) -> &ModelName;
}

impl OfModel for ModelName {
    fn model(&self) -> &ModelName {
        self
    }
}

impl<T: OfModel> OfModel for Arc<T> {
    fn model(&self) -> &ModelName {
        T::model(self)
    }
}

/// Proof that a caller may do `P` with the model of `T`.
#[derive(Debug)]
pub struct Authorized<P, T = ModelName> {
    target: T,
    /// True if the scope that permits it is for all models.
    is_for_all: bool,
    permission: PhantomData<fn() -> P>,
}

impl<P, T> Deref for Authorized<P, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.target
    }
}

impl<P: Permission, T: OfModel> Authorized<P, T> {
    /// Checks that the scopes of a caller permit this.
    ///
    /// # Errors
    ///
    /// The target, if they do not.
    pub fn check(caller: &Caller, target: T) -> Result<Self, T> {
        match caller.scopes.permitting(P::ACTION, target.model()) {
            Some(scope) => Ok(Self { target, is_for_all: scope.is_for_all(), permission: PhantomData }),
            None => Err(target),
        }
    }

    /// Returns true if the scope that permits this is for all models.
    #[must_use]
    pub fn is_for_all(&self) -> bool {
        self.is_for_all
    }

    /// Returns the proof for something else of the same model; `None` if it belongs to another model.
    #[must_use]
    pub fn transfer<U: OfModel>(&self, target: U) -> Option<Authorized<P, U>> {
        let is_for_all = self.is_for_all;
        (target.model() == self.model()).then_some(Authorized { target, is_for_all, permission: PhantomData })
    }

    /// Returns the target without the proof.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.target
    }
}

impl<T> Authorized<MayPredict, T> {
    /// Permits a run.
    #[must_use]
    pub fn run_permit(&self) -> RunPermit {
        RunPermit(())
    }
}

/// Permission to run a model.
#[derive(Clone, Copy, Debug)]
pub struct RunPermit(());

impl RunPermit {
    /// Permits runs of the command line: the operator who starts the program names the file.
    #[must_use]
    pub fn of_command_line() -> Self {
        Self(())
    }

    /// Permits runs that prove or measure a candidate: no caller sees their outputs.
    #[must_use]
    pub fn of_proof() -> Self {
        Self(())
    }

    /// Permits runs that compare a version with its successor, on inputs that a caller was permitted to send.
    #[must_use]
    pub fn of_comparison() -> Self {
        Self(())
    }

    /// Permits the runs of a test.
    #[cfg(test)]
    pub(crate) fn of_test() -> Self {
        Self(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scopes;

    #[test]
    fn a_proof_is_for_one_action_and_one_model() {
        let name = |text: &str| text.parse::<ModelName>().unwrap();
        let scopes = Scopes::of_claim("predict:iris read");
        let caller = Caller::new("issuer".to_owned(), "someone".to_owned(), scopes, None);
        let proof = Authorized::<MayPredict>::check(&caller, name("iris")).unwrap();
        assert_eq!(*proof, name("iris"));
        assert!(proof.transfer(Arc::new(name("iris"))).is_some());
        assert!(proof.transfer(name("wine")).is_none(), "another model");
        assert_eq!(Authorized::<MayPredict>::check(&caller, name("wine")).unwrap_err(), name("wine"));
        assert!(Authorized::<MayRead>::check(&caller, name("wine")).is_ok());
        assert!(Authorized::<MayManage>::check(&caller, name("iris")).is_err());
    }
}
