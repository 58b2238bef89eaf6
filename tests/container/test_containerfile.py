"""The Containerfile: linted, and held to the rules that a linter does not know."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import service
from service.settings import load_settings
from tests.container import steps
from tests.server import ROOT

LABEL = "org.opencontainers.image."


def patterns(name: str) -> list[str]:
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [str(hadolint), "Containerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_two_stages_on_one_slim_base_by_version() -> None:
    build, final = steps.stages()
    base = build[0].value.split()[0]
    assert [build[0].value, final[0].value] == [f"{base} AS build", base]
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-\w+", base)


def test_the_final_stage_compiles_and_downloads_nothing() -> None:
    _, final = steps.stages()
    commands = " ".join(step.value for step in final if step.name == "RUN")
    assert re.findall(r"apt-get|pip|npm|gcc|curl|wget", commands) == []
    assert not {"ADD", "SHELL", "ONBUILD", "MAINTAINER"} & {
        step.name for stage in steps.stages() for step in stage
    }


def test_it_runs_as_a_fixed_user_that_is_not_root() -> None:
    _, final = steps.stages()
    (user,) = steps.words(final, "USER")
    assert user == "10001:10001"
    commands = " ".join(step.value for step in final if step.name == "RUN")
    assert "useradd --uid 10001" in commands
    assert "--owner=10001 --group=10001 /data /models" in commands


def test_entry_point_is_pid_1_and_gets_sigterm() -> None:
    _, final = steps.stages()
    values = {step.name: step.value for step in final}
    assert values["ENTRYPOINT"] == '["face-api"]'
    assert values["CMD"] == '["serve"]'
    assert values["STOPSIGNAL"] == "SIGTERM"


def test_health_check_is_the_script_that_is_copied() -> None:
    _, final = steps.stages()
    (value,) = (step.value for step in final if step.name == "HEALTHCHECK")
    (copied,) = (step.value for step in final if step.name == "COPY" and "healthcheck" in step.value)
    assert value.endswith(f'CMD ["python", "{copied.split()[1]}"]')


def test_settings_are_known_and_say_what_the_instructions_say() -> None:
    _, final = steps.stages()
    report = load_settings(steps.environment(final))
    assert report.warnings == ()
    settings = report.settings
    assert (settings.host, settings.log_format) == ("0.0.0.0", "json")  # noqa: S104 - compared, not bound
    assert steps.words(final, "EXPOSE") == [str(settings.port)]
    assert steps.words(final, "VOLUME") == [settings.data_dir, settings.model_dir]
    assert steps.words(final, "WORKDIR") == [settings.data_dir]


def test_nothing_is_reported_to_the_maker_of_onnx_runtime() -> None:
    _, final = steps.stages()
    assert steps.environment(final)["ORT_DISABLE_TELEMETRY"] == "1"


def test_labels() -> None:
    _, final = steps.stages()
    labels = dict(word.split("=", 1) for word in steps.words(final, "LABEL"))
    assert labels[f"{LABEL}version"] == service.__version__
    assert {f"{LABEL}{name}" for name in ("title", "description", "licenses")} <= set(labels)


def test_what_is_copied_and_called_exists() -> None:
    sent = steps.context()
    missing = []
    for step in (step for stage in steps.stages() for step in stage):
        found: list[str] = []
        if step.name == "COPY" and not step.value.startswith("--from="):
            found = shlex.split(step.value)[:-1]
        elif step.name == "RUN":
            found = re.findall(r"scripts/\S+", step.value)
        missing += [name for name in found if not any(f"{path}/".startswith(f"{name}/") for path in sent)]
    assert missing == []


def test_context_is_what_git_has_of_the_folders_that_are_copied() -> None:
    rules = patterns(".containerignore")
    build, _ = steps.stages()
    sources = [word for step in build if step.name == "COPY" for word in shlex.split(step.value)[:-1]]
    on_disk = [
        path.relative_to(ROOT).as_posix()
        for source in sources
        for path in ([ROOT / source] if (ROOT / source).is_file() else (ROOT / source).rglob("*"))
        if path.is_file()
    ]
    wanted = {name for name in steps.context() if name.split("/")[0] in sources}
    assert {name for name in on_disk if not steps.ignored(name, rules)} == wanted
    for name in (".git/config", ".venv/bin/python", "data/face-api.sqlite", "tests/faces.py", ".env"):
        assert steps.ignored(name, rules), name


def test_docker_is_told_the_same() -> None:
    assert patterns("Containerfile.dockerignore")[1:] == patterns(".containerignore")[1:]
