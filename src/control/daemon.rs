//! What the control API needs of a daemon.

use std::path::PathBuf;
use std::sync::Arc;

use tripline_bus::{BoxFuture, Bus};
use tripline_event::{Clock, ObjectName, Timestamp};
use tripline_triggers::executor::Scope;

use super::ControlError;
use super::api::{Accepted, PublishRequest, ReloadReport, SensorStatus, Status, UpgradeReport};
use super::replay::{ReplayReport, ReplayRequest};
use super::schedules::{ScheduleAnswer, ScheduleOrder};
use super::sensor::{ClearReport, ClearRequest, SensorView};
use super::steering::{DropReport, DropRequest, ResumeReport, ResumeRequest};
use crate::engine::definitions::Definitions;
use crate::engine::schedules::view::ScheduleView;
use crate::explain::Live;
use crate::query::GraphConfig;
use crate::query::dead_letter::Answer;

/// The answer of a daemon, when it has one.
pub type Answering<'a, T> = BoxFuture<'a, Result<T, ControlError>>;

/// A running daemon. `who` is the user of the socket or the name of the token: it is
/// written into the OUTCOMES log with what was done.
pub trait Daemon: Send + Sync + 'static {
    /// The bus that it runs on: what looks back over the logs reads it without the daemon.
    fn bus(&self) -> Arc<dyn Bus>;

    /// Its clock.
    fn clock(&self) -> Arc<dyn Clock>;

    /// One look at everything.
    fn status(&self) -> Answering<'_, Status>;

    /// Every sensor as it stands.
    fn sensors(&self) -> Answering<'_, Vec<SensorStatus>>;

    /// Every schedule as it stands.
    fn schedules(&self) -> Answering<'_, Vec<ScheduleView>>;

    /// Asks something of a schedule. Durable, and decided, when it answers `Ok`.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where there is none, [`ControlError::Invalid`] where it would
    /// start more runs than was said.
    fn order_schedule(&self, order: ScheduleOrder, who: String) -> Answering<'_, ScheduleAnswer>;

    /// One sensor, looked at closely.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where there is none.
    fn sensor(&self, name: ObjectName) -> Answering<'_, SensorView>;

    /// Forgets what a sensor holds. Done, and durable, when it answers `Ok`.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where there is no such sensor or dependency.
    fn clear(&self, request: ClearRequest, who: String) -> Answering<'_, ClearReport>;

    /// What explanations need of it: compiled sensors, and how things stand.
    fn explaining(&self) -> Answering<'_, (Arc<Definitions>, Live)>;

    /// The connections that the configuration in force makes.
    fn graph(&self) -> Answering<'_, GraphConfig>;

    /// Takes an event in, as its event source would. Durable when it answers `Ok`.
    fn publish(&self, request: PublishRequest) -> Answering<'_, Accepted>;

    /// Starts nothing more in the scope.
    fn pause(&self, pause: Pause) -> Answering<'_, ()>;

    /// Takes the pause of the same scope back.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where there was none, [`ControlError::Invalid`] where more
    /// actions wait than is decided about unasked.
    fn resume(&self, request: ResumeRequest, who: String) -> Answering<'_, ResumeReport>;

    /// Drops actions that wait; or only says how many there are.
    fn drop_waiting(&self, request: DropRequest, who: String) -> Answering<'_, DropReport>;

    /// Shows past events to a sensor again. What it decides is durable when it answers `Ok`.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where there is no such sensor.
    fn replay(&self, request: ReplayRequest, who: String) -> Answering<'_, ReplayReport>;

    /// Reads the files again now.
    fn reload(&self, who: String) -> Answering<'_, ReloadReport>;

    /// Takes a reload that is held back into force.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where none is held.
    fn confirm_reload(&self, who: String) -> Answering<'_, ReloadReport>;

    /// Becomes the program that is at the daemon's path now. It happens after the answer.
    ///
    /// # Errors
    /// That program is not there, or is not Tripline.
    fn upgrade(&self, who: String) -> Answering<'_, UpgradeReport>;

    /// Sends dead letters back: [`crate::query::dead_letter::retry`] does it; the daemon
    /// has to carry out what that appends.
    fn retry(&self, ids: Vec<String>, current: bool, who: String) -> Answering<'_, Vec<Answer>>;

    /// Gives dead letters up: [`crate::query::dead_letter::drop`] does it.
    fn drop_letters(
        &self,
        ids: Vec<String>,
        reason: Option<String>,
        who: String,
    ) -> Answering<'_, Vec<Answer>>;

    /// Writes a copy of the store to the file, and answers its size in bytes.
    fn backup(&self, path: PathBuf) -> Answering<'_, u64>;
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What is paused.
    pub scope: Scope,
    /// Until when; none until it is resumed.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// By whom.
    pub who: String,
}
