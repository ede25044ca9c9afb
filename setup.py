import os
import os.path as osp
import shutil
import sys
from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = osp.dirname(osp.abspath(__file__))
MIM_FILES = ('configs', 'tools', 'model-index.yml')


def read(filename):
    with open(osp.join(ROOT, filename), encoding='utf-8') as f:
        return f.read()


def get_version():
    scope = {}
    exec(read('intr_mm/version.py'), scope)
    return scope['__version__']


def parse_requirements(filename):
    lines = read(f'requirements/{filename}').splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def link_mim_files():
    """Link what MIM looks for into the package of an editable install."""
    mim_path = osp.join(ROOT, 'intr_mm', '.mim')
    os.makedirs(mim_path, exist_ok=True)
    for filename in MIM_FILES:
        link = osp.join(mim_path, filename)
        if not osp.lexists(link):
            os.symlink(osp.join('..', '..', filename), link)


class build_py_with_mim(build_py):
    """Copy what MIM looks for into the built package, not into the source."""

    def run(self):
        super().run()
        if getattr(self, 'editable_mode', False):
            return
        mim_path = osp.join(self.build_lib, 'intr_mm', '.mim')
        shutil.rmtree(mim_path, ignore_errors=True)
        os.makedirs(mim_path)
        for filename in MIM_FILES:
            source = osp.join(ROOT, filename)
            target = osp.join(mim_path, filename)
            if osp.isdir(source):
                shutil.copytree(
                    source,
                    target,
                    ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copyfile(source, target)


if __name__ == '__main__':
    if 'develop' in sys.argv or 'editable_wheel' in sys.argv:
        link_mim_files()
    mminstall = parse_requirements('mminstall.txt')
    onedl = parse_requirements('onedl.txt')
    deploy = parse_requirements('deploy.txt')
    tests = parse_requirements('tests.txt')
    setup(
        name='intr_mm',
        version=get_version(),
        description='INTR, the interpretable transformer for fine-grained '
        'image classification, as a plugin of MMPretrain',
        long_description=read('README.md'),
        long_description_content_type='text/markdown',
        keywords='computer vision, fine-grained image classification, '
        'interpretability, attention',
        author='intr_mm contributors',
        license='Apache License 2.0',
        packages=find_packages(
            include=('intr_mm', 'intr_mm.*', 'intr_mm_flags')),
        package_data={'intr_mm.visualization': ['report_page/*']},
        python_requires='>=3.10',
        classifiers=[
            'Development Status :: 4 - Beta',
            'Operating System :: OS Independent',
            'Programming Language :: Python :: 3',
            'Programming Language :: Python :: 3.10',
            'Programming Language :: Python :: 3.11',
            'Programming Language :: Python :: 3.12',
            'Topic :: Scientific/Engineering :: Artificial Intelligence',
        ],
        # Neither torch nor the mm packages: the latter come under two sets
        # of names, and the wrong set would overwrite the installed one.
        install_requires=parse_requirements('runtime.txt'),
        extras_require={
            'mim': mminstall,
            'onedl': onedl,
            'deploy': deploy,
            'tests': tests,
        },
        cmdclass={'build_py': build_py_with_mim},
        zip_safe=False)
