"""What happened in a run, told from its directory: findings, each with its evidence and what to change."""

from launcher.postmortem.examination import examine
from launcher.postmortem.finding import Finding, Symptom
from launcher.postmortem.story import as_data, comparison, story

__all__ = ["Finding", "Symptom", "as_data", "comparison", "examine", "story"]
