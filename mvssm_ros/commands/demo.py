"""`mvssm demo`: real four-camera video of a man through ROS 2, and pictures of what came out.

With --source sim simulated people instead: `demo_sim`.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from types import FrameType

from mvssm_ros.commands import demo_sim
from mvssm_ros.commands.output import make_room
from mvssm_ros.demo.comparison import compare, find_truth, load_truth
from mvssm_ros.demo.overlay import OverlayPainter, film_frames
from mvssm_ros.demo.pictures import VideoWriter, read_picture, save_picture, stack
from mvssm_ros.demo.plot import plot_answers
from mvssm_ros.demo.recording import Recording, read_recording
from mvssm_ros.demo.stage import FILM_FRAMES, Play, Played, Show, play
from mvssm_ros.demo.summary import Figures, figures, summary_markdown
from mvssm_ros.demo_data import find_demo
from mvssm_ros.errors import UserError
from mvssm_ros.rig.checks import ReprojectionMonitor
from mvssm_ros.rig.rig_file import Rig, load_rig
from mvssm_ros.share import share_dir

RIGS = {"corrected": "pose2sim_single.yaml", "shipped": "pose2sim_single_shipped.yaml"}
_MADE = (
    "bag",
    "log",
    "frames.json",
    "overlay.mp4",
    "plot.png",
    "rig.yaml",
    "skeletons.jpg",
    "summary.md",
    "overlay_*.png",
)
_STILLS = 5
_VIDEO_FPS = 20.0  # slower than life, to be looked at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", choices=("film", "sim"), default="film",
                        help="film: a real man before four cameras; sim: a simulated scenario"
                        " (default %(default)s)")  # fmt: skip
    parser.add_argument("--scenario", metavar="NAME|FILE",
                        help="with --source sim: which one (default crossing)")  # fmt: skip
    parser.add_argument("--seed", type=int,
                        help="with --source sim: other people, other noise (default 0)")  # fmt: skip
    parser.add_argument(
        "--out", default="out/demo", help="folder for the results (default %(default)s)"
    )
    parser.add_argument("--rate", type=float, metavar="HZ",
                        help="sets of images sent a second, whether or not pose_node keeps up; drops "
                        "are counted (default: the next set when the last one is answered)")  # fmt: skip
    parser.add_argument("--rig", metavar="corrected|shipped|FILE",
                        help="of the film: corrected principal points, as shipped with the videos, "
                        "or a rig file (default corrected)")  # fmt: skip
    parser.add_argument("--sets", type=int, metavar="N",
                        help="of the film: at least N sets, evenly spread over it (default: all); of"
                        " a scenario: the first N (default: until all begin again)")  # fmt: skip
    parser.add_argument("--frontend", choices=("keypoints", "resnet_small"), default="keypoints",
                        help="what the network reads: 2D people of a detector (of the film: "
                        "MediaPipe), or the images (default %(default)s)")  # fmt: skip
    parser.add_argument("--weights", default="", metavar="FILE",
                        help="weights of that front-end (default: the package's)")  # fmt: skip
    parser.add_argument("--time-limit", type=float, default=1800.0, metavar="S",
                        help="give up after this many seconds (default %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Returns 0 when skeletons came out.

    Raises:
        UserError: anything that keeps it from that, in one line.
    """
    if args.rate is not None and not args.rate > 0:
        raise UserError(f"--rate is {args.rate:g}, expected a number of sets a second above 0")
    if not args.time_limit > 0:
        raise UserError(f"--time-limit is {args.time_limit:g}, expected seconds above 0")
    if args.source == "sim":
        simulator, show = demo_sim.prepare(args, _MADE)
        return demo_sim.report(args, simulator, _play(show, Path(args.out)))
    for option in ("scenario", "seed"):
        if getattr(args, option) is not None:
            raise UserError(f"--{option} is for simulated people: add --source sim")
    return _film(args)


def _play(show: Show, out: Path) -> Played:
    """On the stage; SIGTERM ends it without leaving a process behind."""
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        return play(show, out)
    finally:
        signal.signal(signal.SIGTERM, before)


def _film(args: argparse.Namespace) -> int:
    asked = args.rig or "corrected"
    sets = FILM_FRAMES if args.sets is None else args.sets
    if not 1 <= sets <= FILM_FRAMES:
        raise UserError(f"--sets is {sets}, expected 1 to {FILM_FRAMES}")
    cameras = find_demo("single").videos
    is_own_rig = asked not in RIGS
    rig_file = Path(asked) if is_own_rig else share_dir() / "config" / "rigs" / RIGS[asked]
    rig = load_rig(rig_file)
    strange = [name for name in rig.cameras if name not in cameras]
    if strange:
        raise UserError(
            f"--rig {asked} has the cameras {', '.join(strange)}; the demo's videos are of"
            f" {', '.join(cameras)}"
        )
    out = Path(args.out)
    make_room(out, _MADE)
    settings = Play(
        rig_file=rig_file.resolve(),
        calibration="corrected" if is_own_rig else asked,
        sets=sets,
        rate_hz=args.rate,
        frontend=args.frontend,
        weights=args.weights and str(Path(args.weights).resolve()),
        time_limit_s=args.time_limit,
    )
    played = _play(settings.show(), out)
    recording = read_recording(played.bag, played.frames_file)
    numbers = figures(recording, ReprojectionMonitor.of_rig(rig).limit_px, played.warnings)
    if not numbers.people:
        raise UserError(_nothing_came_out(numbers, out))
    truth = find_truth()
    comparison = compare(recording.answers, load_truth(truth)) if truth else None
    print("drawing ...")
    files = _draw(recording, rig, out, numbers.main_id)
    page = summary_markdown(numbers, comparison, title=_title(asked, args), files=files)
    (out / "summary.md").write_text(page, encoding="utf-8")
    print(f"\n{page}\nall of it is in {out}/")
    return 0


def _draw(recording: Recording, rig: Rig, out: Path, main_id: str) -> dict[str, str]:
    """Video, stills and plot. Returns name -> what it is."""
    answers = {answer.frame: answer for answer in recording.answers if answer.frame >= 0}
    frames = sorted(answers)
    stills = {frames[round(i * (len(frames) - 1) / (_STILLS - 1))] for i in range(_STILLS)}
    demo = find_demo("single")
    painter = OverlayPainter(rig.to_cameras(demo.videos), list(demo.videos))
    with VideoWriter(out / "overlay.mp4", _VIDEO_FPS) as video:
        for frame, images in film_frames(demo.videos, set(answers)):
            answer = answers[frame]
            caption = f"frame {frame}, {frame / recording.fps:.2f} s"
            picture = painter.paint(images, answer, caption)
            video.add(picture)
            if frame in stills:
                save_picture(out / f"overlay_{frame:03d}.png", picture)
    plot_answers(recording.answers, rig, out / "plot.png", people=main_id)
    middle = next(f for f in frames[len(frames) // 2 :] + frames[::-1] if answers[f].seen)
    plain = painter.paint(None, answers[middle], f"frame {middle}, {middle / recording.fps:.2f} s")
    save_picture(out / "skeletons.jpg", stack(plain, read_picture(out / "plot.png"), 1300))
    return {
        "overlay.mp4": f"the skeletons over all views, {_VIDEO_FPS:g} pictures a second (the film"
        f" has {recording.fps:g})",
        "overlay_*.png": "some of its pictures",
        "plot.png": "the same in 3D and over time",
        "skeletons.jpg": "one set without the images, and the plot",
        "bag/": "people, markers, rig_status, skeleton_info and /diagnostics (rosbag2, mcap)",
        "log/": "what the nodes said",
    }


def _title(rig: str, args: argparse.Namespace) -> str:
    rate_hz, frontend = args.rate, args.frontend
    pace = "each set sent when the last was answered" if rate_hz is None else f"{rate_hz:g} sets/s"
    how = "" if frontend == "keypoints" else f", front-end {frontend}"
    return f"mvssm demo: Pose2Sim's Demo_SinglePerson, rig {rig}{how}, {pace}"


def _nothing_came_out(numbers: Figures, out: Path) -> str:
    text = (
        f"demo: no skeleton came out of {numbers.sets_sent} sets of images"
        f" ({numbers.sets_answered} answered, nobody in them)"
    )
    if numbers.warnings:
        text += f"; pose_node said: {numbers.warnings[-1]}"
    return f"{text}; logs and bag are in {out}"


def _leave(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the demo the way an exception does, so that no process is left behind."""
    raise SystemExit(128 + number)
