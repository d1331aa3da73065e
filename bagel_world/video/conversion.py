"""The conversion: films in, samples out. It can be broken off at any moment and goes on where it was.

Films are surveyed by several threads at a time (decoding leaves Python's lock) and used one after the other in a fixed order,
so that the samples do not depend on the number of threads. What is on disk is recorded in the journal after every shard.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bagel_world.episodes.manifest import package_versions
from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.episodes.sample_shards import sample_shard_paths
from bagel_world.episodes.sample_writer import SAMPLES_PER_SHARD, SampleWriter
from bagel_world.episodes.samples import Sample
from bagel_world.errors import RecordingError
from bagel_world.video.account import Account
from bagel_world.video.captions import Captioner
from bagel_world.video.clips import Survey
from bagel_world.video.config import FootageConfig
from bagel_world.video.duplicates import SeenClips
from bagel_world.video.extraction import Shot, Wanted, extract
from bagel_world.video.interleaving import Captions, interleave
from bagel_world.video.journal import SURVEYS, Outcome, open_journal, read_survey, write_journal
from bagel_world.video.report import Report, make_report
from bagel_world.video.sampling import sample_times, words_of_clips
from bagel_world.video.sidecar import Word
from bagel_world.video.sources import Found, Source
from bagel_world.video.surveying import Film, Silent, Surveyor, Watch, ahead

logger = logging.getLogger(__name__)

FRAMES_AT_ONCE = 32
"""Frames that one job extracts, about."""


@dataclass(slots=True, kw_only=True)
class _State:
    """How far a run is.

    Attributes:
        writer: takes the samples.
        extractors: threads that take frames from films.
        generated: samples made in all.
        surplus: names of samples that were written just before the journal was broken off.
        outcomes: what became of each film, by key.
    """

    writer: SampleWriter
    extractors: ThreadPoolExecutor
    generated: int
    surplus: frozenset[str]
    outcomes: dict[str, Outcome]


class Conversion:
    """Turns films into a folder of samples.

    Args:
        out: the folder; a conversion in it that was broken off goes on.
        config: what decides the samples.
        captioner: where the texts between frames come from.
        workers: films looked at at a time.
        command: the command, for the manifest.
        watch: is told how far it is.
        samples_per_shard: samples in a shard, at most.

    Raises:
        RecordingError: the folder holds samples of something else, or has lost some.
    """

    def __init__(
        self,
        out: str | Path,
        config: FootageConfig,
        captioner: Captioner,
        *,
        workers: int = 1,
        command: str = "",
        watch: Watch | None = None,
        samples_per_shard: int = SAMPLES_PER_SHARD,
    ) -> None:
        self._out = Path(out)
        self._config = config
        self._captions = Captions(captioner, config.max_characters)
        self._workers = workers
        self._command = command
        self._watch = watch or Silent()
        self._surveyor = Surveyor(self._out, config.clips, needs_words=captioner.needs_words, watch=self._watch)
        self._size = samples_per_shard
        self._journal = open_journal(self._out, config)
        if sample_shard_paths(self._out) and not (self._journal.outcomes or (self._out / SURVEYS).is_dir()):
            raise RecordingError(f"{self._out} holds samples of something else. Choose an empty folder.")

    def run(self, found: Found) -> Report:
        """Convert what is not yet converted; returns the report on everything in the folder.

        Raises:
            RecordingError: the disk is full (what was finished before is kept), or the words of a film in use have changed.
            CaptionError: the caption source fails on everything.
        """
        todo, identical, failed = self._sort_out(found)
        seen = self._remember()
        with ThreadPoolExecutor(self._workers) as surveyors, ThreadPoolExecutor(self._workers) as extractors:
            state = _State(
                writer=self._writer(),
                extractors=extractors,
                generated=self._journal.samples,
                surplus=_stored(self._out, self._journal.samples),
                outcomes=dict(self._journal.outcomes),
            )
            try:
                for film in ahead(surveyors, self._surveyor.look_at, todo, self._workers):
                    if film.survey is None:
                        failed[film.source.name] = film.failure
                        logger.warning("%s: %s", film.source.name, film.failure)
                    else:
                        self._use(film, film.survey, seen, state)
                    self._watch.used(film.source.name, state.generated)
                self._commit(state)
                state.writer.finish()
            finally:
                self._surveyor.stop()  # nobody waits for hours of film after an error or Ctrl-C
        return make_report(self._journal, found, identical, failed)

    def _writer(self) -> SampleWriter:
        return SampleWriter(
            self._out,
            command=self._command,
            settings=self._config.model_dump(mode="json"),
            packages=package_versions(("bagel-world", "av", "pillow", "numpy")),
            append=True,
            samples_per_shard=self._size,
        )

    def _sort_out(self, found: Found) -> tuple[list[tuple[Source, str]], list[tuple[str, str]], dict[str, str]]:
        """What is to be done, what is the same file as another, and what cannot even be opened."""
        todo, identical, failed = [], [], {}
        names: dict[str, str] = {}
        for source in found.sources:
            try:
                key = source.key()
            except RecordingError as error:
                failed[source.name] = str(error)
                continue
            if key in names:
                identical.append((source.name, names[key]))
                continue
            names[key] = source.name
            outcome = self._journal.outcomes.get(key)
            if outcome is not None and outcome.words not in (None, self._surveyor.words_of(source)):
                raise RecordingError(
                    f"The words beside {source.name} have changed, and samples with the old ones are in {self._out} already. "
                    "Convert into an empty folder."
                )
            if outcome is None or not outcome.complete:
                todo.append((source, key))
        # Where it was broken off comes first, so that what follows is what would have followed.
        todo.sort(key=lambda each: each[1] not in self._journal.outcomes)
        return todo, identical, failed

    def _remember(self) -> SeenClips:
        """The clips of the films that are done."""
        seen = SeenClips(self._config.duplicates)
        for key, outcome in self._journal.outcomes.items():
            known = read_survey(self._out, key)
            if known is not None and outcome.complete:
                for place in outcome.kept:
                    seen.add(known.clips[place])
        return seen

    def _use(self, film: Film, survey: Survey, seen: SeenClips, state: _State) -> None:
        """Turn a film's clips into samples."""
        kept = [place for place, clip in enumerate(survey.clips) if seen.take(clip)]
        license, words = (film.sidecar.license, film.sidecar.words) if film.sidecar else (None, ())
        account = Account(
            film.source.name,
            survey,
            kept,
            license=license,
            words=self._surveyor.words_of(film.source),
            before=state.outcomes.get(film.key),
        )
        if film.remark and not account.resumed:
            account.problem(film.remark)
        wanted = self._wanted(film, survey, kept, words, account)
        for shots in self._extracted(film.source, wanted[account.done :], account, state.extractors):
            samples = self._samples(shots, film, words, license or self._config.license, account)
            account.done += 1
            account.wrote(samples)
            state.outcomes[film.key] = account.outcome(complete=account.done == len(wanted))
            shards = len(state.writer.manifest.shards)
            for sample in samples:
                state.generated += 1
                if sample.sample_id not in state.surplus:
                    state.writer.add(sample)
            if len(state.writer.manifest.shards) > shards:
                self._commit(state)
        state.outcomes[film.key] = account.outcome(complete=account.done == len(wanted))

    def _wanted(self, film: Film, survey: Survey, kept: Sequence[int], words: Sequence[Word], account: Account) -> list[Wanted]:
        """The samples of a film's clips, before anyone looked at their frames."""
        wanted = []
        told: list[list[Word]] = [[] for _ in survey.clips]
        if self._config.frames.at_actions:
            told = words_of_clips(words, survey.clips, seconds=survey.seconds, longest=self._config.clips.max_seconds)
            if not account.resumed:
                in_clips, in_kept = sum(map(len, told)), sum(len(told[place]) for place in kept)
                account.samples["actions outside clips"] += len(words) - in_clips
                account.samples["actions in duplicate clips"] += in_clips - in_kept
        for place in kept:
            clip = survey.clips[place]
            rows = sample_times(clip, self._config.frames, key=film.key, words=told[place])
            if not rows and not account.resumed:
                account.samples["clips without actions" if self._config.frames.at_actions else "too few frames"] += 1
            wanted += [Wanted(box=clip.box, times=tuple(times)) for times in rows]
        return wanted

    def _extracted(
        self, source: Source, wanted: Sequence[Wanted], account: Account, extractors: ThreadPoolExecutor
    ) -> Iterator[list[Shot]]:
        """The frames of each sample, a few ahead; ends early where the film can no longer be read."""
        jobs = batched(wanted, FRAMES_AT_ONCE)
        try:
            for batch in ahead(extractors, lambda job: extract(source, job, self._config), jobs, self._workers):
                yield from batch
        except RecordingError as error:
            account.problem(f"It could be read before, but no longer: {error}")

    def _samples(self, shots: Sequence[Shot], film: Film, words: Sequence[Word], license: str, account: Account) -> list[Sample]:
        if len(shots) < 2:
            account.samples["too few frames"] += 1
            return []
        texts = self._captions.between(shots, film.source.name, words, account)
        return interleave(shots, texts, film=film.source.name, key=film.key, license=license, config=self._config)

    def _commit(self, state: _State) -> None:
        """Bring everything to disk, then say so in the journal."""
        state.writer.flush()
        self._journal = self._journal.model_copy(update={"samples": state.generated, "outcomes": dict(state.outcomes)})
        write_journal(self._out, self._journal)


def batched(wanted: Sequence[Wanted], frames: int) -> Iterator[list[Wanted]]:
    """Samples in rows of about this many frames."""
    batch: list[Wanted] = []
    for each in wanted:
        batch.append(each)
        if sum(len(one.times) for one in batch) >= frames:
            yield batch
            batch = []
    if batch:
        yield batch


def _stored(folder: Path, known: int) -> frozenset[str]:
    """Names of the samples on disk behind the first `known` ones."""
    if not (known or sample_shard_paths(folder)):
        return frozenset()
    samples = SampleFolder(folder)
    if len(samples) < known:
        raise RecordingError(
            f"{known} samples were made in {folder}, and {len(samples)} are there: shards were lost. Bring them back, or convert "
            "into an empty folder."
        )
    return frozenset(samples[place].sample_id for place in range(known, len(samples)))
