"""Stored pictures, their jobs, and what is to be cleaned up.

The lists and the statistics read indexes alone: `job_page` and its likes have every column that a filter asks for, in
the order of the pages, `job_stats` every one that is added up. What only one job's page shows lies in a table of its
own, so that the rows stay small.
"""

from typing import Final

__all__ = ["STATEMENTS"]

STATEMENTS: Final = (
    """
    CREATE TABLE stored_image (
        id UUID PRIMARY KEY,
        sha256 VARCHAR(64) NOT NULL,
        object_key VARCHAR(200),
        filename VARCHAR(255),
        content_type VARCHAR(50) NOT NULL,
        size_bytes BIGINT NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        created_at TIMESTAMPTZ NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX stored_image_sha256 ON stored_image (sha256)",
    "CREATE UNIQUE INDEX stored_image_object_key ON stored_image (object_key)",
    "CREATE INDEX stored_image_page ON stored_image (created_at, id)",
    "CREATE INDEX stored_image_bytes ON stored_image (object_key, size_bytes)",
    """
    CREATE TABLE job (
        id UUID PRIMARY KEY,
        image_id UUID NOT NULL REFERENCES stored_image (id) ON DELETE CASCADE,
        key_id UUID,
        job_type VARCHAR(16) NOT NULL,
        method VARCHAR(16),
        strength INTEGER,
        padding DOUBLE PRECISION,
        face_count INTEGER NOT NULL,
        inference_ms DOUBLE PRECISION NOT NULL,
        total_ms DOUBLE PRECISION NOT NULL,
        result_key VARCHAR(200),
        result_format VARCHAR(16),
        result_quality INTEGER,
        result_bytes BIGINT,
        created_at TIMESTAMPTZ NOT NULL
    )
    """,
    "CREATE INDEX job_page ON job (created_at, id, job_type, method, key_id, face_count)",
    "CREATE INDEX job_type_page ON job (job_type, created_at, id, method, key_id, face_count)",
    "CREATE INDEX job_method_page ON job (method, created_at, id, job_type, key_id, face_count)",
    "CREATE INDEX job_key_page ON job (key_id, created_at, id, job_type, method, face_count)",
    "CREATE INDEX job_stats ON job (job_type, method, face_count, inference_ms, result_bytes)",
    "CREATE INDEX job_image ON job (image_id, created_at, id)",
    "CREATE INDEX job_result ON job (image_id, created_at, id) WHERE result_key IS NOT NULL",
    "CREATE UNIQUE INDEX job_result_key ON job (result_key)",
    """
    CREATE TABLE job_document (
        job_id UUID PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
        document TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE cleanup_task (
        id UUID PRIMARY KEY,
        object_key VARCHAR(200) NOT NULL,
        is_intent BOOLEAN NOT NULL,
        attempts INTEGER NOT NULL,
        due_at TIMESTAMPTZ NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        last_error VARCHAR(300)
    )
    """,
    "CREATE INDEX cleanup_task_due ON cleanup_task (due_at, id)",
    "CREATE INDEX cleanup_task_object_key ON cleanup_task (object_key)",
    "CREATE TABLE lease (name VARCHAR(50) PRIMARY KEY, holder UUID NOT NULL, expires_at TIMESTAMPTZ NOT NULL)",
)
