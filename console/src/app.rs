//! What every command has at hand: where to print, whom to ask.

use std::path::PathBuf;
use std::time::Duration;

use vigie_protocol::service::Empty;
use vigie_protocol::{ProjectName, Time};

use crate::cli::Global;
use crate::config::{Chosen, Config};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::out::Out;
use crate::session::{self, Session, ask};

/// The process's surroundings, read once.
#[derive(Clone, Debug)]
pub struct App {
    /// Standard output.
    pub out: Out,
    /// Whether to end.
    pub interrupt: Interrupt,
    /// The configuration.
    pub config: Config,
    /// Where it lies.
    pub config_path: PathBuf,
    /// The longest wait for one answer.
    pub timeout: Duration,
    /// What `--agent` said.
    pub agent: Option<String>,
    /// What `--project` said.
    project: Option<ProjectName>,
}

impl App {
    /// Reads the configuration and looks at the terminal.
    pub fn new(global: Global, interrupt: Interrupt) -> anyhow::Result<Self> {
        let config_path = global.config_path()?;
        let Global { agent, project, output, timeout, config: _, read_only: _, verbose: _ } = global;
        Ok(Self {
            out: Out::new(output, Time::now()),
            interrupt,
            config: Config::load(&config_path)?,
            config_path,
            timeout,
            agent,
            project,
        })
    }

    /// The agent this command is for.
    pub fn chosen(&self) -> Result<Chosen, Failure> {
        self.config.choose(self.agent.as_deref())
    }

    /// Connects to the agent this command is for.
    pub async fn connect(&self) -> Result<Session, Failure> {
        self.connect_to(&self.chosen()?).await
    }

    /// Connects to any agent.
    pub async fn connect_to(&self, chosen: &Chosen) -> Result<Session, Failure> {
        let target = session::target(chosen.target.as_deref())?;
        Session::connect(target, self.timeout, self.interrupt.clone()).await
    }

    /// The project this command is for: named, the context's, or the only one there is.
    pub async fn project(&self, session: &Session) -> Result<ProjectName, Failure> {
        if let Some(project) = self.project.clone().or(self.chosen()?.project) {
            return Ok(project);
        }
        let mut projects = ask!(session, project_list, Empty {}).await?;
        match projects.len() {
            1 => Ok(projects.remove(0).name),
            0 => Err(Failure::new(Exit::NotFound, "the agent has no project yet")
                .hint("`vigie projects create NAME` makes one")),
            _ => {
                let names: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
                Err(Failure::usage("which project?")
                    .hint(format!("name it with --project; there are {}", names.join(", "))))
            }
        }
    }

    /// The project that was named, if one was.
    pub fn named_project(&self) -> Result<Option<ProjectName>, Failure> {
        Ok(self.project.clone().or(self.chosen()?.project))
    }

    /// The project that `--project` or the environment named.
    pub fn named_on_command_line(&self) -> Option<&ProjectName> {
        self.project.as_ref()
    }
}
