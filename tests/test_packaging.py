"""What an installed ``intr_mm`` carries along, checked on built archives."""
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from modelindex import load_model_index

ROOT = Path(__file__).parents[1]
SHIPPED = ('configs', 'tools')


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of the checkout, so that building leaves nothing in it."""
    target = tmp_path_factory.mktemp('source')
    for name in ('intr_mm', 'intr_mm_flags', 'benchmarks',
                 'requirements') + SHIPPED:
        shutil.copytree(
            ROOT / name,
            target / name,
            ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    for name in ('setup.py', 'setup.cfg', 'MANIFEST.in', 'README.md',
                 'LICENSE', 'CITATION.cff', 'model-index.yml'):
        shutil.copy(ROOT / name, target)
    return target


def run(*command, cwd):
    result = subprocess.run([sys.executable, *command],
                            cwd=cwd,
                            capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def pip(*args, cwd):
    run('-m', 'pip', *args, '--no-deps', '--no-build-isolation', cwd=cwd)


def build_wheel(what, folder, cwd):
    pip('wheel', str(what), '-w', str(folder), cwd=cwd)
    wheel, = folder.glob('intr_mm-*.whl')
    return ZipFile(wheel)


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory):
    return build_wheel('.', tmp_path_factory.mktemp('wheel'), source)


def files_below(root, folders):
    return {
        path.relative_to(root).as_posix()
        for folder in folders
        for path in (root / folder).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def test_wheel_carries_all_that_mim_looks_for(source, wheel):
    names = set(wheel.namelist())
    mim = files_below(source, SHIPPED) | {'model-index.yml'}
    assert 'configs/intr_demo.py' in mim and 'tools/train.py' in mim
    prefix = 'intr_mm/.mim/'
    assert {name[len(prefix):]
            for name in names if name.startswith(prefix)} == mim
    modules = {name for name in names if not name.startswith(prefix)}
    packages = {'intr_mm', 'intr_mm_flags'}
    assert {name.split('/')[0].split('-')[0] for name in names} == packages
    assert files_below(source, packages) == {
        name
        for name in modules if name.split('/')[0] in packages
    }
    assert wheel.read(f'{prefix}configs/intr_demo.py') == (
        ROOT / 'configs/intr_demo.py').read_bytes()
    assert not (source / 'intr_mm/.mim').exists()


def test_wheel_requires_no_mm_package_and_no_torch(wheel):
    metadata, = (
        name for name in wheel.namelist()
        if name.endswith('.dist-info/METADATA'))
    required = [
        line for line in wheel.read(metadata).decode().splitlines()
        if line.startswith('Requires-Dist:')
    ]
    always = [line for line in required if 'extra ==' not in line]
    assert sorted(line.split()[1] for line in always) == [
        'matplotlib', 'numpy', 'pillow>=10.1', 'rich', 'safetensors', 'scipy',
        'terminaltables', 'tornado>=6.5.3'
    ]
    for extra, package in (('mim', 'mmpretrain'), ('onedl',
                                                   'onedl-mmpretrain')):
        assert any(line.split()[1].startswith(package) and f'"{extra}"' in line
                   for line in (r.replace("'", '"') for r in required))


def test_source_archive_builds_the_same_wheel(source, wheel, tmp_path):
    run('setup.py', '-q', 'sdist', '-d', str(tmp_path), cwd=source)
    archive, = tmp_path.glob('*.tar.gz')
    shutil.unpack_archive(archive, tmp_path / 'unpacked')
    unpacked, = (tmp_path / 'unpacked').iterdir()
    rebuilt = build_wheel('.', tmp_path, unpacked)
    assert set(rebuilt.namelist()) == set(wheel.namelist())


@pytest.mark.slow
def test_editable_install_links_the_checkout(source, tmp_path):
    checkout = tmp_path / 'checkout'
    shutil.copytree(source, checkout)
    pip('install', '-e', '.', '--target', str(tmp_path / 'site'), cwd=checkout)
    for name in SHIPPED + ('model-index.yml', ):
        link = checkout / 'intr_mm/.mim' / name
        assert link.is_symlink()
        assert link.resolve() == (checkout / name).resolve()


IN_A_FRESH_INTERPRETER = """
import sys
from pathlib import Path

import torch
import mmpretrain
import intr_mm

assert Path(intr_mm.__file__).is_relative_to(sys.argv[1]), intr_mm.__file__
intr_mm.register_models()
names = mmpretrain.list_models('intr*')
assert {'intr_demo', 'intr_r50_cub', 'intr_r50_bird'} <= set(names), names
for name, classes in (('intr_demo', 12), ('intr_r50_cub', 200)):
    model = mmpretrain.get_model(name)
    assert model._metainfo.config.filename.startswith(sys.argv[1])
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 64, 96)).shape == (1, classes)
torch.save(dict(state_dict=model.state_dict()), 'weights.pth')
inferencer = mmpretrain.ImageClassificationInferencer(
    'intr_r50_cub', pretrained='weights.pth')
assert inferencer.model.head.num_classes == 200
"""


@pytest.fixture(scope='module')
def installed(source, wheel, tmp_path_factory):
    """Folder that a wheel was installed into."""
    site = tmp_path_factory.mktemp('site')
    pip('install', wheel.filename, '--target', str(site), cwd=source)
    return site


def find_models(root, cwd, monkeypatch):
    # first on the path, before an editable install of the checkout
    monkeypatch.setenv('PYTHONPATH', str(root))
    run('-c', IN_A_FRESH_INTERPRETER, str(root), cwd=cwd)


@pytest.mark.slow
def test_installed_wheel_brings_its_models(installed, tmp_path, monkeypatch):
    find_models(installed, tmp_path, monkeypatch)


@pytest.mark.slow
def test_checkout_on_the_path_brings_its_models(source, tmp_path, monkeypatch):
    find_models(source, tmp_path, monkeypatch)


def test_model_index_names_existing_configs():
    index = load_model_index.load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    names = [model.name for model in index.models]
    assert {*names} >= {'intr_r50_cub', 'intr_demo'}
    assert len({*names}) == len(names)
    for model in index.models:
        assert (ROOT / model.config).is_file(), model.config
