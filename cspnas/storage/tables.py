"""The tables of the study database, all named `cspnas_...`."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
schema_table = sa.Table("cspnas_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))
studies_table = sa.Table(
    "cspnas_studies",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(255), unique=True, nullable=False),
    # What may not change while the study goes on.
    sa.Column("identity", sa.JSON, nullable=False),
    # Hypervolume reference, data checksum, recipe digest, class names ...
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)
architectures_table = sa.Table(
    "cspnas_architectures",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("costs", sa.JSON, nullable=False),
)
evaluations_table = sa.Table(
    "cspnas_evaluations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey("cspnas_studies.id"), nullable=False),
    sa.Column("digest", sa.ForeignKey("cspnas_architectures.digest"), nullable=False),
    sa.Column("recipe_digest", sa.String(64), nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    # Epochs.
    sa.Column("fidelity", sa.Integer, nullable=False),
    sa.Column("repeat", sa.Integer, nullable=False),
    # in_flight, trained, reused, failed.
    sa.Column("state", sa.String(16), nullable=False),
    # 1 + crashes of its worker; a driver that dies is none.
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("driver_id", sa.Integer),
    sa.Column("accuracy", sa.Float),
    sa.Column("result", sa.JSON),
    sa.Column("failure_kind", sa.String(32)),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("finished", sa.Float),
    sa.UniqueConstraint("study_id", "digest", "recipe_digest", "seed", "fidelity", name="cspnas_evaluation_key"),
    sa.Index("cspnas_evaluation_states", "study_id", "state"),
)
# Results that came when another driver's had been recorded: kept, never counted.
late_table = sa.Table(
    "cspnas_late_results",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("evaluation_id", sa.ForeignKey("cspnas_evaluations.id"), nullable=False),
    sa.Column("driver_id", sa.Integer, nullable=False),
    sa.Column("result", sa.JSON, nullable=False),
    sa.Column("finished", sa.Float, nullable=False),
)
suggestions_table = sa.Table(
    "cspnas_suggestions",
    metadata,
    sa.Column("study_id", sa.ForeignKey("cspnas_studies.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    # baseline:plain, baseline:csp, sampler name, uniform, confirm.
    sa.Column("source", sa.String(32), nullable=False),
    # training, rejected, reused, attached.
    sa.Column("outcome", sa.String(16), nullable=False),
    # None where the genotype is no valid network.
    sa.Column("digest", sa.String(64)),
    sa.Column("evaluation_id", sa.ForeignKey("cspnas_evaluations.id")),
    sa.Column("genotype", sa.JSON),
    # Why rejected; the sampler's own state.
    sa.Column("note", sa.JSON),
)
drivers_table = sa.Table(
    "cspnas_drivers",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey("cspnas_studies.id"), nullable=False),
    # pid, host, sampler and versions.
    sa.Column("about", sa.JSON, nullable=False),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    # When it last showed that it works, by the server's clock; none on SQLite.
    sa.Column("beat", sa.Float),
)
fronts_table = sa.Table(
    "cspnas_fronts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey("cspnas_studies.id"), nullable=False),
    sa.Column("evaluation_id", sa.ForeignKey("cspnas_evaluations.id"), nullable=False),
    sa.Column("trainings", sa.Integer, nullable=False),
    sa.Column("hypervolume", sa.Float, nullable=False),
    # [digest, values...] of each member.
    sa.Column("points", sa.JSON, nullable=False),
)
