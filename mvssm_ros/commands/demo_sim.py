"""`mvssm demo --source sim`: simulated people through ROS 2, and how near the answers are."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from mvssm_ros.commands.output import make_room
from mvssm_ros.demo.floor_plan import FloorPlan
from mvssm_ros.demo.overlay import OverlayPainter
from mvssm_ros.demo.pictures import VideoWriter, save_picture
from mvssm_ros.demo.recording import Recording, read_recording
from mvssm_ros.demo.sim_plot import plot_simulation
from mvssm_ros.demo.sim_summary import sim_summary_markdown
from mvssm_ros.demo.stage import (
    ANSWER_WITHIN_S,
    KEPT,
    Played,
    Show,
    common_pose_parameters,
)
from mvssm_ros.demo.summary import figures
from mvssm_ros.demo.truth import AgainstTruth, against_truth
from mvssm_ros.errors import UserError
from mvssm_ros.rig.checks import ReprojectionMonitor
from mvssm_ros.simulation.rendering import Renderer
from mvssm_ros.simulation.scenario_file import load_scenario
from mvssm_ros.simulation.simulator import Simulator

_MOST_SETS = 3000
_MOST_HZ = 120.0
_STILLS = 5
_TILE_PX = 480  # height of a view


def prepare(args: argparse.Namespace, made: tuple[str, ...]) -> tuple[Simulator, Show]:
    """Read the scenario, make room in --out, write the rig file there.

    Raises:
        UserError: a mistake in the arguments or in the scenario.
    """
    args.scenario = args.scenario or "crossing"
    args.seed = args.seed or 0
    if args.rig is not None:
        raise UserError("--rig is for the film; the rig of --source sim is the scenario's")
    if args.seed < 0:
        raise UserError(f"--seed is {args.seed}, expected 0 or more")
    if args.rate is not None and args.rate > _MOST_HZ:
        raise UserError(f"--rate is {args.rate:g}, expected up to {_MOST_HZ:g} sets a second")
    simulator = Simulator(load_scenario(args.scenario), args.seed)
    sets = args.sets
    if sets is None:
        sets = min(_MOST_SETS, math.ceil(simulator.period_s * simulator.rate_hz))
    if not 1 <= sets <= _MOST_SETS:
        raise UserError(f"--sets is {sets}, expected 1 to {_MOST_SETS}")
    out = Path(args.out)
    make_room(out, made)
    rig = simulator.scenario.rig
    rig_file = (out / "rig.yaml").resolve()
    rig.save(rig_file, f"The cameras of the simulated scenario '{simulator.scenario.name}'.")
    content = "keypoints" if args.frontend == "keypoints" else "images"
    topic = "keypoints" if content == "keypoints" else "image_raw"
    topics = [f"/{name}/{topic}" for name in rig.cameras]
    source: dict[str, object] = {
        "scenario": args.scenario,
        "seed": args.seed,
        "content": content,
        "duration": sets / simulator.rate_hz,
        "lockstep": args.rate is None,
        "answer_within_s": ANSWER_WITHIN_S,
        "subscribers_within_s": args.time_limit,
        "qos_overrides": {"/people": {"subscription": KEPT}},
    }
    if args.rate is not None:
        source |= {"rate": args.rate}
        simulator = Simulator(simulator.scenario, args.seed, args.rate)
        source["duration"] = sets / args.rate
    weights = args.weights and str(Path(args.weights).resolve())
    pose = common_pose_parameters(rig_file, topics, args.frontend, weights, args.rate)
    show = Show("sim_rig_node", sets, source, {**pose, "input": content}, args.time_limit)
    return simulator, show


def report(args: argparse.Namespace, simulator: Simulator, played: Played) -> int:
    """Compare, draw, write the summary."""
    torch.set_num_threads(1)  # for painting: on a busy machine a second only waits
    out = Path(args.out)
    rig = simulator.scenario.rig
    recording = read_recording(played.bag, played.frames_file)
    numbers = figures(recording, ReprojectionMonitor.of_rig(rig).limit_px, played.warnings)
    if not numbers.people:
        said = f"; pose_node said: {numbers.warnings[-1]}" if numbers.warnings else ""
        raise UserError(
            f"demo: no skeleton came out of {numbers.sets_sent} sets (front-end"
            f" {args.frontend}; {numbers.sets_answered} answered, nobody in them){said}; logs and bag"
            f" are in {out}"
        )
    truth = against_truth(recording.answers, simulator)
    print("drawing ...")
    files = _draw(recording, simulator, truth, out)
    title = f"mvssm demo: simulated scenario {simulator.scenario.name}, seed {args.seed}"
    page = sim_summary_markdown(numbers, truth, args.frontend, title=title, files=files)
    (out / "summary.md").write_text(page, encoding="utf-8")
    print(f"\n{page}\nall of it is in {out}/")
    return 0


def _draw(
    recording: Recording, simulator: Simulator, truth: AgainstTruth, out: Path
) -> dict[str, str]:
    """Video, stills and plot. Returns name -> what it is."""
    answers = {answer.frame: answer for answer in recording.answers if answer.frame >= 0}
    frames = sorted(answers)
    stills = {frames[round(i * (len(frames) - 1) / (_STILLS - 1))] for i in range(_STILLS)}
    cameras = simulator.cameras
    renderer = Renderer(cameras, simulator.scenario.rig.space, simulator.boxes)
    columns = math.ceil(math.sqrt(cameras.n_views + 1))
    painter = OverlayPainter(cameras, list(simulator.scenario.rig.cameras), _TILE_PX, columns)
    plan = FloorPlan(simulator, (painter.free_px, _TILE_PX))
    fps = min(25.0, simulator.rate_hz)
    with VideoWriter(out / "overlay.mp4", fps) as video:
        for frame in frames:
            moment = simulator.moment(frame)
            images = [renderer.paint(moment, view) for view in range(cameras.n_views)]
            caption = f"set {frame}, {moment.time_s:.1f} s"
            seen_from_above = plan.paint(moment, answers[frame])
            picture = painter.paint(images, answers[frame], caption, [seen_from_above])
            video.add(picture)
            if frame in stills:
                save_picture(out / f"overlay_{frame:03d}.png", picture)
    plot_simulation(recording.answers, simulator, truth, out / "plot.png")
    return {
        "overlay.mp4": f"the skeletons over rendered views, and from above, {fps:g} pictures a second",
        "overlay_*.png": "some of its pictures",
        "plot.png": "the same in 3D, the paths, and the error over time",
        "rig.yaml": "the cameras",
        "bag/": "people, markers, rig_status, skeleton_info and /diagnostics (rosbag2, mcap)",
        "log/": "what the nodes said",
    }
