"""Train, score and run the nets of "Fully Convolutional Networks for Semantic Segmentation".

    python solve.py voc-fcn8s --demo        train a thin copy on drawn shapes; nothing to download
    python solve.py --list                  the models
    python solve.py --help                  all options

The command itself is in solvers/cli.py.
"""

from solvers.cli import main

if __name__ == "__main__":
    main()
