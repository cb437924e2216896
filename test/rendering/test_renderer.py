"""Pictures agree with the calibration, tiles with no tiles, a batch with its scenes, GPU with CPU."""

from dataclasses import replace

import pytest
import torch

from mvssm_ros.geometry.cameras import Cameras, project
from mvssm_ros.learning.image_batch import image_cameras
from mvssm_ros.learning.rendered.world import RenderedConfig, RenderedWorld
from mvssm_ros.learning.synthetic.rigs import look_at
from mvssm_ros.network.candidates import start_pose
from mvssm_ros.rendering.bodies import N_MATERIALS, Looks, bodies, flesh_m
from mvssm_ros.rendering.materials import Materials
from mvssm_ros.rendering.rasterizer import first_hits, views_of
from mvssm_ros.rendering.renderer import joints_seen, render
from mvssm_ros.rendering.shapes import Boxes, meet_boxes, meet_cones, no_boxes, picked
from mvssm_ros.rendering.stage import Light, Room, Stage, moved_to

SIZE = (160, 120)


def rig(n_scenes, distortion=0.0):
    """Three cameras around the origin."""
    eyes = torch.tensor([[3.0, 0.5, 1.6], [-1.0, 3.0, 2.4], [-2.5, -2.0, 0.9]])
    target = torch.tensor([[0.0, 0.0, 0.9]]).expand(3, 3)
    R = torch.from_numpy(look_at(eyes.numpy(), target.numpy(), torch.zeros(3).numpy())).float()
    K = torch.tensor([[120.0, 0, 79.5], [0, 120.0, 59.5], [0, 0, 1]]).expand(3, 3, 3)
    t = -(R @ eyes[..., None])[..., 0]
    one = Cameras.pinhole(K, R, t, torch.tensor([[160.0, 120.0]]).expand(3, 2))
    bent = one.distortion.clone()
    bent[:, 0] = distortion
    return Cameras.stack([replace(one, distortion=bent)] * n_scenes)


def stage(joints_m, boxes=None):
    """A stage with people [S, G, 15, 3] dressed in different colours."""
    s, g = joints_m.shape[:2]
    colors = torch.rand(s * g * N_MATERIALS + 4, 3, generator=torch.Generator().manual_seed(1))
    first = 4 + N_MATERIALS * torch.arange(s * g).view(s, g)
    no = torch.zeros(s, g, dtype=torch.bool)
    looks = Looks(torch.ones(s, g), torch.zeros(s, g), no, no)
    three = torch.full((s, 3), 4.0)
    nowhere = torch.full((s, 2), 1e6)
    room = Room(
        -three * torch.tensor([1, 1, 0]),
        three,
        *(torch.full((s,), kind, dtype=torch.long) for kind in (0, 1, 2)),
        nowhere,
        -nowhere,
        torch.full((s,), 3, dtype=torch.long),
    )
    light = Light(
        torch.tensor([[0.0, 0.6, 0.8]]).expand(s, 3), torch.ones(s, 3), 0.4 * torch.ones(s, 3)
    )
    solids = bodies(joints_m, ~no, looks, first)
    return Stage(
        solids, no_boxes() if boxes is None else boxes, room, Materials.plain(colors), light
    )


def people(*places):
    """Standing people at places (x, y), one scene [1, G, 15, 3]."""
    joints = start_pose("relaxed")
    at = torch.tensor([[*p, 0.0] for p in places])
    return (joints + at[:, None])[None]


@pytest.mark.parametrize("distortion", [0.0, -0.2])
def test_every_joint_in_the_image_is_on_its_person(distortion):
    joints, cameras = people((0.0, 0.0), (0.9, -0.6)), rig(1, distortion)
    pictures = render(stage(joints), cameras, SIZE)
    pixels, _ = project(cameras, joints.flatten(1, 2))
    seen = joints_seen(pictures, cameras, joints, flesh_m(joints))
    at = pixels.round().long()
    checked = 0
    for view in range(3):
        for g in range(2):
            for j in range(15):
                x, y = at[0, view, 15 * g + j].tolist()
                if seen[0, view, g, j] and 0 <= x < 160 and 0 <= y < 120:
                    assert pictures.owner[0, view, y, x] == g
                    checked += 1
    assert checked > 45


def test_who_stands_behind_somebody_or_a_box_is_not_seen():
    cameras = rig(1)
    eye = cameras.centers_m[0, 0]
    ahead = torch.nn.functional.normalize(-eye[:2], dim=0)
    joints = people((0.0, 0.0), tuple((0.8 * ahead).tolist()))
    seen = joints_seen(render(stage(joints), cameras, SIZE), cameras, joints, flesh_m(joints))
    assert seen[0, 0, 0, [3, 6, 9, 12]].all()
    assert seen[0, 0, 1].sum() < 8  # the one behind
    assert seen[0, 1, 1].sum() > seen[0, 0, 1].sum() + 3  # but not for a camera elsewhere
    index = torch.zeros(1, dtype=torch.long)
    wall = Boxes(
        (0.5 * eye * torch.tensor([1.0, 1.0, 0.0]) + torch.tensor([0, 0, 0.6]))[None],
        torch.tensor([[0.05, 1.0, 0.6]]),
        torch.atan2(eye[1], eye[0])[None],
        index,
        index,
    )
    hidden = joints_seen(
        render(stage(joints, wall), cameras, SIZE), cameras, joints, flesh_m(joints)
    )
    legs = [7, 8, 13, 14]
    assert not hidden[0, 0, 0, legs].any()
    assert seen[0, 0, 0, legs].any()


def test_tiles_find_what_trying_every_solid_at_every_pixel_finds():
    """Rays that graze a solid meet it or not as a processor rounds: what is found lies between the
    answers for solids a millimetre larger and smaller."""
    world = RenderedWorld(RenderedConfig(crop_px=96), 3)
    batch = world.batch(2, 2)
    solids = stage(batch.joints_m.clone(), _some_boxes())
    views = views_of(batch.drawn, (96, 96))
    found = first_hits(views, solids.cones, solids.boxes).t_m
    nearest, exact, farthest = (
        _every_solid_at_every_pixel(views, *_grown(solids, by_m)) for by_m in (1e-3, 0.0, -1e-3)
    )
    grazes = ~torch.isinf(nearest) & ~((farthest - nearest) < 0.05)
    same = torch.isinf(exact) & torch.isinf(found) | ((exact - found).abs() < 1e-4)
    assert same[views.valid & ~grazes].all()
    assert grazes[views.valid].float().mean() < 0.05
    assert torch.isfinite(nearest[views.valid]).float().mean() > 0.02
    assert (nearest[views.valid] - 1e-4 <= found[views.valid]).all()
    assert (found[views.valid] <= farthest[views.valid] + 1e-4).all()
    assert (farthest - nearest)[torch.isfinite(farthest)].median() < 5e-3


def _grown(solids, by_m):
    cones = replace(
        solids.cones,
        start_r_m=solids.cones.start_r_m + by_m,
        end_r_m=solids.cones.end_r_m + by_m,
    )
    return cones, replace(solids.boxes, half_m=solids.boxes.half_m + by_m)


def _every_solid_at_every_pixel(views, cones, boxes):
    best = torch.full(views.valid.shape, torch.inf)
    for v in range(len(best)):
        rays = views.rays[v].flatten(0, 1)
        for kind, meet in ((cones, meet_cones), (boxes, meet_boxes)):
            for n in (kind.scene == views.scene[v]).nonzero().flatten().tolist():
                t = meet(views.eyes_m[v : v + 1], rays[None], picked(kind, torch.tensor([n])))
                best[v] = torch.minimum(best[v], t.view(best[v].shape))
    return best


def _some_boxes():
    index = torch.tensor([0, 1, 1])
    center = torch.tensor([[0.5, 0.5, 0.4], [-0.8, 0.3, 0.3], [1.0, -1.0, 0.7]])
    half = torch.tensor([[0.3, 0.2, 0.4], [0.2, 0.5, 0.3], [0.4, 0.4, 0.02]])
    return Boxes(center, half, torch.tensor([0.3, 1.0, 2.0]), index, 0 * index)


def test_a_batch_is_its_scenes_one_by_one():
    joints = torch.cat([people((0.0, 0.0)), people((0.5, 0.3))])
    together = render(stage(joints), rig(2), SIZE)
    for scene in range(2):
        alone = stage(joints[scene : scene + 1])
        first = 4 + scene * N_MATERIALS
        colors = stage(joints).materials.color
        own = torch.cat([colors[:4], colors[first : first + N_MATERIALS]])
        alone = replace(alone, materials=Materials.plain(own))
        pictures = render(alone, rig(1), SIZE)
        assert torch.equal(pictures.owner[0], together.owner[scene])
        assert (pictures.rgb[0] - together.rgb[scene]).abs().max() < 1e-5


def test_light_casts_shadows_and_no_surface_shades_itself():
    joints = people((0.0, 0.0))
    lit = stage(joints)
    dark = replace(lit, light=replace(lit.light, lamp=0 * lit.light.lamp))
    with_lamp, without = (render(s, rig(1), SIZE).rgb for s in (lit, dark))
    gain = (with_lamp / without.clamp(min=1e-3)).mean(2)  # [1, 3, H, W]
    owner = render(lit, rig(1), SIZE).owner
    assert (gain[owner >= 0] > 1.2).float().mean() > 0.3  # the body's side towards the lamp
    unlit_floor = ((gain < 1.001) & (owner < 0)).float().mean()
    assert 0.002 < unlit_floor < 0.6


def test_a_stage_refuses_materials_it_does_not_have():
    good = stage(people((0.0, 0.0)))
    with pytest.raises(ValueError, match="material"):
        replace(good, materials=Materials.plain(torch.zeros(3, 3)))
    with pytest.raises(ValueError, match="unit"):
        replace(good, light=replace(good.light, towards_lamp=torch.ones(1, 3)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_paints_what_the_cpu_paints():
    joints = people((0.0, 0.0), (0.9, -0.6))
    here = render(stage(joints), rig(1), SIZE)
    there = render(moved_to(stage(joints), torch.device("cuda")), rig(1).to("cuda"), SIZE)
    assert ((here.owner != there.owner.cpu()).float().mean()) < 1e-3
    assert ((here.rgb - there.rgb.cpu()).abs().amax(2) > 0.02).float().mean() < 5e-3


def test_image_cameras_are_those_of_the_letterbox():
    from mvssm_ros.frontends.images import letterbox

    image = torch.zeros(720, 1280, 3, dtype=torch.uint8).numpy()
    boxed = letterbox([image], (960, 512), stride=2)
    cameras = rig(1).select([0])
    raw = replace(cameras, size_px=torch.tensor([[[1280.0, 720.0]]]))
    drawn = image_cameras(raw, (480, 256))
    network = raw.affine(boxed.scale[None], boxed.offset_px[None])
    assert torch.allclose(2 * drawn.K[..., :2, 2] + 0.5, network.K[..., :2, 2], atol=1e-4)
    assert torch.allclose(2 * drawn.focal_px, network.focal_px, atol=1e-4)
    assert boxed.images.shape == (1, 3, 256, 480)
